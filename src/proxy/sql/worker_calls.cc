#include "proxy/sql/worker_calls.h"

#include "proxy/fleet/acquire.h"
#include "proxy/sql/problems.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace pondpilot::proxy::sql {
namespace {

// What goes on to the worker of a client's trace; empty when there is none.
std::string TraceParentOf(const http::Request& request) {
  const std::string_view sent = request.Header(telemetry::kTraceParent);
  return telemetry::TraceIdOf(sent).empty() ? std::string() : std::string(sent);
}

}  // namespace

void LogBroken(const base::Error& error, const std::string& request_id) {
  telemetry::Log(telemetry::Level::kWarn, "A result over HTTP broke off",
                 {{"request_id", request_id}, {"error", error.message}, {"detail", error.detail}});
}

template <typename Asked>
boost::asio::awaitable<std::expected<OpenedDocument, http::Problem>> WorkerCalls::Open(
    const http::Request& request, const auth::Principal& principal, const Asked& asked) const {
  if (services_.draining->load()) {
    co_return std::unexpected(http::ToProblem(
        {base::ErrorCode::kUnavailable, "The proxy is shutting down. Try again in a moment.", {}, {}}));
  }
  auto lease = co_await fleet::AcquireWorker(services_.fleet, principal.user_id, principal.profile,
                                             services_.clock->Now() + services_.worker_wait->load());
  if (!lease) co_return std::unexpected(http::ToProblem(lease.error()));
  OpenedDocument opened;
  opened.call =
      std::make_shared<DocumentCall>(std::move(*lease), queue_, request.request_id, TraceParentOf(request));
  opened.call->Start(asked);
  auto piece = co_await opened.call->Next();
  if (!piece) {
    LogBroken(piece.error(), request.request_id);
    co_return std::unexpected(http::ToProblem(piece.error()));
  }
  if (piece->has_failure()) co_return std::unexpected(StatementProblem(ErrorOf(piece->failure())));
  opened.first = std::move(*piece);
  co_return opened;
}

template boost::asio::awaitable<std::expected<OpenedDocument, http::Problem>> WorkerCalls::Open(
    const http::Request&, const auth::Principal&, const pondpilot::sql::v1::RunRequest&) const;
template boost::asio::awaitable<std::expected<OpenedDocument, http::Problem>> WorkerCalls::Open(
    const http::Request&, const auth::Principal&, const pondpilot::sql::v1::CatalogRequest&) const;

}  // namespace pondpilot::proxy::sql
