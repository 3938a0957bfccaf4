#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/ai/chat_stream.h"
#include "proxy/grpc/flight_server.h"
#include "proxy/http/server.h"
#include "telemetry/metrics.h"

namespace pondpilot::proxy {

// What the proxy measures at its doors, as /metrics shows it: HTTP requests, relayed calls, refusals, bytes,
// tokens of language models. All labels are from closed sets. Outlives the doors.
class DoorMetrics final : public http::Observer, public grpc::RelayObserver, public ai::CallObserver {
 public:
  DoorMetrics(telemetry::Registry& registry, const std::string& version);

  // Before the HTTP server starts. The router must outlive this object.
  void WatchRoutes(const http::Router& router);

  void Ended(const http::Served& served) override;
  void Ended(std::string_view method, ::grpc::StatusCode code, std::chrono::nanoseconds took,
             Bytes bytes) override;
  void Ended(std::string_view provider, std::string_view result, const ai::Usage& usage) override;
  void Retried(std::string_view provider) override;

 private:
  struct Route {
    std::array<telemetry::Counter*, 5> by_class{};  // 1xx is not sent; 2xx to 5xx, and clients that left
    telemetry::Histogram* seconds = nullptr;
    telemetry::Counter* sent = nullptr;
    telemetry::Counter* received = nullptr;
  };
  struct Method {
    telemetry::Counter* ok = nullptr;
    telemetry::Counter* failed = nullptr;
    telemetry::Histogram* seconds = nullptr;
    telemetry::Counter* sent = nullptr;
    telemetry::Counter* received = nullptr;
  };
  struct Provider {
    std::map<std::string_view, telemetry::Counter*> calls;  // by result
    telemetry::Counter* retries = nullptr;
    telemetry::Counter* input_tokens = nullptr;
    telemetry::Counter* output_tokens = nullptr;
  };
  void AddRoute(std::string_view path);

  telemetry::Registry& registry_;
  std::map<std::string, Route, std::less<>> routes_;
  std::map<std::string_view, Method> methods_;
  std::map<std::string_view, Provider> providers_;
  std::map<unsigned, telemetry::Counter*> http_refusals_;            // by status
  std::map<::grpc::StatusCode, telemetry::Counter*> grpc_refusals_;  // by code
};

}  // namespace pondpilot::proxy
