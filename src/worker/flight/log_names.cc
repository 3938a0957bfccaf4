#include "worker/flight/log_names.h"

#include <arrow/flight/server.h>

#include <optional>

#include "contract/names.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace pondpilot::worker::flight {
namespace {

std::string_view Header(const arrow::flight::CallHeaders& headers, std::string_view name) {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : found->second;
}

// Arrow begins and completes a call on the thread that runs it.
class Named final : public arrow::flight::ServerMiddleware {
 public:
  explicit Named(const arrow::flight::CallHeaders& headers) {
    scope_.emplace(Header(headers, contract::kRequestIdHeader),
                   telemetry::TraceIdOf(Header(headers, telemetry::kTraceParent)));
  }
  void SendingHeaders(arrow::flight::AddCallHeaders*) override {}
  void CallCompleted(const arrow::Status&) override { scope_.reset(); }
  std::string name() const override { return "log-names"; }

 private:
  std::optional<telemetry::LogScope> scope_;
};

class Naming final : public arrow::flight::ServerMiddlewareFactory {
 public:
  arrow::Status StartCall(const arrow::flight::CallInfo&, const arrow::flight::ServerCallContext& context,
                          std::shared_ptr<arrow::flight::ServerMiddleware>* middleware) override {
    *middleware = std::make_shared<Named>(context.incoming_headers());
    return arrow::Status::OK();
  }
};

}  // namespace

std::shared_ptr<arrow::flight::ServerMiddlewareFactory> NameCallsInLog() {
  return std::make_shared<Naming>();
}

}  // namespace pondpilot::worker::flight
