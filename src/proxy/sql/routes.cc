#include "proxy/sql/routes.h"

#include <utility>

#include "proxy/fleet/acquire.h"
#include "proxy/sql/document_call.h"
#include "proxy/sql/problems.h"
#include "proxy/sql/sql_request.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace pondpilot::proxy::sql {
namespace {

using boost::asio::awaitable;
using Piece = pondpilot::sql::v1::Piece;

// What a listing of all databases may take.
constexpr uint64_t kCatalogTimeoutMs = 60'000;

base::Error ErrorOf(const pondpilot::sql::v1::Failure& failure) {
  base::Error error;
  error.code = base::ErrorCodeOf(failure.code()).value_or(base::ErrorCode::kInternal);
  error.message = failure.message();
  return error;
}

// What goes on to the worker of a client's trace; empty when there is none.
std::string TraceParentOf(const http::Request& request) {
  const std::string_view sent = request.Header(telemetry::kTraceParent);
  return telemetry::TraceIdOf(sent).empty() ? std::string() : std::string(sent);
}

void LogBroken(const base::Error& error, const std::string& request_id) {
  telemetry::Log(telemetry::Level::kWarn, "A result over HTTP broke off",
                 {{"request_id", request_id}, {"error", error.message}, {"detail", error.detail}});
}

// Passes the document on as it comes. What its reader can't see in it, it sees by the cut.
awaitable<void> Pass(std::shared_ptr<DocumentCall> call, Piece piece, http::BodyWriter& writer,
                     std::string request_id) {
  for (;;) {
    const bool last = piece.last();
    const bool cut = piece.has_failure() && !piece.failure().told();
    const bool written = co_await writer.Write(std::move(*piece.mutable_data()));
    if (cut) writer.Cut();
    if (last || !written) co_return;
    auto next = co_await call->Next();
    if (!next) {
      LogBroken(next.error(), request_id);
      writer.Cut();
      co_return;
    }
    piece = std::move(*next);
  }
}

class SqlDoor {
 public:
  explicit SqlDoor(SqlServices services) : services_(std::move(services)) {}

  awaitable<http::Response> Run(const http::Request& request, const auth::Principal& principal) {
    const auto parsed = ParseRunRequest(request);
    if (!parsed) co_return http::ToResponse(parsed.error(), request.request_id);
    co_return co_await Document(request, principal, *parsed, ContentTypeOf(parsed->format()),
                                ContentCodingOf(parsed->coding()));
  }

  awaitable<http::Response> Catalog(const http::Request& request, const auth::Principal& principal) {
    auto parsed = ParseCatalogRequest(request);
    if (!parsed) co_return http::ToResponse(parsed.error(), request.request_id);
    parsed->set_timeout_ms(kCatalogTimeoutMs);
    co_return co_await Document(request, principal, *parsed, "application/json",
                                ContentCodingOf(parsed->coding()));
  }

 private:
  template <typename Asked>
  awaitable<http::Response> Document(const http::Request& request, const auth::Principal& principal,
                                     const Asked& asked, std::string content_type, std::string coding) {
    const auto refuse = [&request](const http::Problem& problem) {
      return http::ToResponse(problem, request.request_id);
    };
    if (services_.draining->load()) {
      co_return refuse(http::ToProblem(
          {base::ErrorCode::kUnavailable, "The proxy is shutting down. Try again in a moment.", {}, {}}));
    }
    auto lease = co_await fleet::AcquireWorker(services_.fleet, principal.user_id, principal.profile,
                                               services_.clock->Now() + services_.worker_wait->load());
    if (!lease) co_return refuse(http::ToProblem(lease.error()));
    const auto call =
        std::make_shared<DocumentCall>(std::move(*lease), queue_, request.request_id, TraceParentOf(request));
    call->Start(asked);
    auto piece = co_await call->Next();
    if (!piece) {
      LogBroken(piece.error(), request.request_id);
      co_return refuse(http::ToProblem(piece.error()));
    }
    if (piece->has_failure()) co_return refuse(StatementProblem(ErrorOf(piece->failure())));

    http::Response response;
    response.content_type = std::move(content_type);
    response.headers.emplace_back("Vary", "Accept, Accept-Encoding");
    if (!coding.empty() && !piece->uncoded())
      response.headers.emplace_back("Content-Encoding", std::move(coding));
    if (piece->last()) {
      response.body = std::move(*piece->mutable_data());
    } else {
      response.headers.emplace_back("X-Accel-Buffering", "no");  // for an nginx in front
      response.stream = [call, first = std::move(*piece), id = request.request_id](http::BodyWriter& writer) {
        return Pass(call, first, writer, id);
      };
    }
    co_return response;
  }

  const SqlServices services_;
  const std::shared_ptr<fleet::ControlQueue> queue_ = std::make_shared<fleet::ControlQueue>();
};

}  // namespace

std::vector<http::Route> SqlRoutes(SqlServices services) {
  const access::Gate& gate = *services.gate;
  const auto door = std::make_shared<SqlDoor>(std::move(services));
  return {gate.Route("POST", "/sql",
                     [door](const auto& request, const auto& who) { return door->Run(request, who); }),
          gate.Route("GET", "/catalog",
                     [door](const auto& request, const auto& who) { return door->Catalog(request, who); })};
}

}  // namespace pondpilot::proxy::sql
