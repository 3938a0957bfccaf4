#include "proxy/sql/catalog.h"

#include "proxy/sql/problems.h"

namespace pondpilot::proxy::sql {

boost::asio::awaitable<std::expected<std::string, http::Problem>> CatalogReader::operator()(
    const http::Request& request, const auth::Principal& principal) const {
  pondpilot::sql::v1::CatalogRequest asked;
  asked.set_timeout_ms(kCatalogTimeout.count());
  auto opened = co_await calls_->Open(request, principal, asked);
  if (!opened) co_return std::unexpected(opened.error());
  std::string document;
  auto& piece = opened->first;
  while (true) {
    if (piece.has_failure()) co_return std::unexpected(StatementProblem(ErrorOf(piece.failure())));
    document += piece.data();
    if (document.size() > kMaxCatalogBytes) {
      co_return std::unexpected(http::Problem{
          422,
          "catalog_too_large",
          "The catalog is too large",
          "All that you can query, listed, has more than " + std::to_string(kMaxCatalogBytes) +
              " bytes. Ask without \"schema\", and put the tables that matter into the messages.",
          {}});
    }
    if (piece.last()) co_return document;
    auto next = co_await opened->call->Next();
    if (!next) {
      LogBroken(next.error(), request.request_id);
      co_return std::unexpected(http::ToProblem(next.error()));
    }
    piece = std::move(*next);
  }
}

}  // namespace pondpilot::proxy::sql
