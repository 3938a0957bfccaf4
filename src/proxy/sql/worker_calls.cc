#include "proxy/sql/worker_calls.h"

#include "proxy/fleet/acquire.h"
#include "proxy/fleet/shutting_down.h"
#include "proxy/sql/problems.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::sql {
namespace {

int64_t Microseconds(base::Clock::Steady::duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
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
    co_return std::unexpected(http::ToProblem({base::ErrorCode::kUnavailable, fleet::kShuttingDown, {}, {}}));
  }
  const auto asked_at = services_.clock->Now();
  auto lease = co_await fleet::AcquireWorker(services_.fleet, principal.user_id, principal.profile,
                                             asked_at + services_.worker_wait->load());
  if (request.span)
    request.span->Set("pondpilot.worker.wait_us", Microseconds(services_.clock->Now() - asked_at));
  if (!lease) co_return std::unexpected(http::ToProblem(lease.error()));
  OpenedDocument opened;
  const auto begun_at = services_.clock->Now();
  opened.call = std::shared_ptr<DocumentCall>(
      new DocumentCall(std::move(*lease), queue_, request.request_id, request.TraceParent()),
      [clock = services_.clock, span = request.span, begun_at](DocumentCall* call) {
        delete call;  // which ends it
        if (span) span->Set("pondpilot.worker.us", Microseconds(clock->Now() - begun_at));
      });
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
