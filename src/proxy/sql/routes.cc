#include "proxy/sql/routes.h"

#include <utility>

#include "proxy/sql/catalog.h"
#include "proxy/sql/sql_request.h"
#include "proxy/sql/worker_calls.h"

namespace pondpilot::proxy::sql {
namespace {

using boost::asio::awaitable;
using Piece = pondpilot::sql::v1::Piece;

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
  SqlDoor(WorkerServices services, std::shared_ptr<http::Offload> offload)
      : calls_(std::move(services)), offload_(std::move(offload)) {}

  awaitable<http::Response> Run(const http::Request& request, const auth::Principal& principal) {
    const auto read =
        co_await offload_->Run(request.body.size(), [&request] { return ParseRunRequest(request); });
    if (!read) co_return http::ToResponse(http::ToProblem(read.error()), request.request_id);
    const auto& parsed = *read;
    if (!parsed) co_return http::ToResponse(parsed.error(), request.request_id);
    co_return co_await Document(request, principal, *parsed, ContentTypeOf(parsed->format()),
                                ContentCodingOf(parsed->coding()));
  }

  awaitable<http::Response> Catalog(const http::Request& request, const auth::Principal& principal) {
    auto parsed = ParseCatalogRequest(request);
    if (!parsed) co_return http::ToResponse(parsed.error(), request.request_id);
    parsed->set_timeout_ms(kCatalogTimeout.count());
    co_return co_await Document(request, principal, *parsed, "application/json",
                                ContentCodingOf(parsed->coding()));
  }

 private:
  template <typename Asked>
  awaitable<http::Response> Document(const http::Request& request, const auth::Principal& principal,
                                     const Asked& asked, std::string content_type, std::string coding) {
    auto opened = co_await calls_.Open(request, principal, asked);
    if (!opened) co_return http::ToResponse(opened.error(), request.request_id);
    const auto call = opened->call;
    Piece& piece = opened->first;
    http::Response response;
    response.content_type = std::move(content_type);
    response.headers.emplace_back("Vary", "Accept, Accept-Encoding");
    if (!coding.empty() && !piece.uncoded())
      response.headers.emplace_back("Content-Encoding", std::move(coding));
    if (piece.last()) {
      response.body = std::move(*piece.mutable_data());
    } else {
      response.headers.emplace_back("X-Accel-Buffering", "no");  // for an nginx in front
      response.stream = [call, first = std::move(piece), id = request.request_id](http::BodyWriter& writer) {
        return Pass(call, first, writer, id);
      };
    }
    co_return response;
  }

  const WorkerCalls calls_;
  const std::shared_ptr<http::Offload> offload_;
};

}  // namespace

std::vector<http::Route> SqlRoutes(SqlServices services) {
  const access::Gate& gate = *services.gate;
  const auto door = std::make_shared<SqlDoor>(std::move(services.workers), std::move(services.offload));
  return {gate.Route("POST", "/sql",
                     [door](const auto& request, const auto& who) { return door->Run(request, who); }),
          gate.Route("GET", "/catalog",
                     [door](const auto& request, const auto& who) { return door->Catalog(request, who); })};
}

}  // namespace pondpilot::proxy::sql
