#pragma once

#include <arrow/flight/api.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/secret.h"
#include "contract/names.h"
#include "worker/flight/flight_service.h"
#include "worker/flight/log_names.h"
#include "worker/flight/server_limits.h"
#include "worker/flight/worker_token.h"

// For tests: a worker's Flight server on a port of its own, over any engine, and calls to it.
namespace pondpilot::worker::flight {

inline const std::string kTestToken(64, 'a');

class Loopback {
 public:
  // `hook` may add to the gRPC server; everything but the server is there when it runs.
  using Hook = std::function<void(Loopback&, grpc::ServerBuilder&)>;

  // `engine` must outlive it.
  explicit Loopback(engine::Engine& engine, Hook hook = {}) : runner_(engine, base::Clock::System()) {
    arrow::flight::FlightServerOptions options(*arrow::flight::Location::ForGrpcTcp("127.0.0.1", 0));
    options.middleware.emplace_back("worker-token", RequireWorkerToken(base::Sha256Hex(kTestToken)));
    options.middleware.emplace_back("log-names", NameCallsInLog());
    options.builder_hook = [this, hook = std::move(hook)](void* raw) {
      auto& builder = *static_cast<grpc::ServerBuilder*>(raw);
      ApplyServerLimits(builder);
      if (hook) hook(*this, builder);
    };
    const arrow::Status started = service_.Init(options);
    EXPECT_TRUE(started.ok()) << started.ToString();
    thread_ = std::thread([this] { (void)service_.Serve(); });
  }
  ~Loopback() { Stop(); }
  // Nothing is served any more. Idempotent.
  void Stop() {
    if (!thread_.joinable()) return;
    const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(2);
    (void)service_.Shutdown(&deadline);
    thread_.join();
  }
  Loopback(const Loopback&) = delete;
  Loopback& operator=(const Loopback&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(service_.port()); }
  std::unique_ptr<arrow::flight::FlightClient> Connect() const {
    return *arrow::flight::FlightClient::Connect(
        *arrow::flight::Location::ForGrpcTcp("127.0.0.1", service_.port()));
  }
  session::StatementRunner& runner() { return runner_; }
  FlightService& service() { return service_; }

  // What the proxy adds to each call.
  static arrow::flight::FlightCallOptions AsProxy(const std::string& connection = "a",
                                                  const std::string& token = kTestToken) {
    arrow::flight::FlightCallOptions options;
    options.headers.emplace_back(contract::kWorkerTokenHeader, token);
    options.headers.emplace_back(contract::kConnectionHeader, connection);
    options.timeout = arrow::flight::TimeoutDuration(60);
    return options;
  }

 private:
  session::StatementRunner runner_;
  FlightService service_{runner_};
  std::thread thread_;
};

}  // namespace pondpilot::worker::flight
