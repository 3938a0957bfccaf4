#include "worker/flight/worker_token.h"

#include <arrow/flight/server.h>

#include "contract/names.h"
#include "worker/flight/status.h"
#include "worker/session/worker_token.h"

namespace pondpilot::worker::flight {
namespace {

class TokenCheck final : public arrow::flight::ServerMiddlewareFactory {
 public:
  explicit TokenCheck(std::string token_sha256) : token_sha256_(std::move(token_sha256)) {}

  arrow::Status StartCall(const arrow::flight::CallInfo&, const arrow::flight::ServerCallContext& context,
                          std::shared_ptr<arrow::flight::ServerMiddleware>*) override {
    // On every answer, so that the proxy can tell one that the worker gave from a connection that broke.
    context.AddTrailer(kAnswerTrailer, "1");
    const auto [first, last] = context.incoming_headers().equal_range(contract::kWorkerTokenHeader);
    if (first != last && std::next(first) == last && session::IsWorkerToken(first->second, token_sha256_)) {
      return arrow::Status::OK();
    }
    return ToArrowStatus(
        {base::ErrorCode::kUnauthenticated, "This worker answers its own proxy only.", "", {}});
  }

 private:
  std::string token_sha256_;
};

}  // namespace

std::shared_ptr<arrow::flight::ServerMiddlewareFactory> RequireWorkerToken(std::string token_sha256) {
  return std::make_shared<TokenCheck>(std::move(token_sha256));
}

}  // namespace pondpilot::worker::flight
