#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <string>

#include "proxy/sql/worker_calls.h"

namespace pondpilot::proxy::sql {

// What a listing of all databases may take.
inline constexpr std::chrono::milliseconds kCatalogTimeout{60'000};
// The largest listing that is read here; GET /catalog passes on whatever there is.
inline constexpr size_t kMaxCatalogBytes = 8 << 20;

// The document of GET /catalog, for other parts of the proxy.
class CatalogReader {
 public:
  explicit CatalogReader(WorkerServices services)
      : calls_(std::make_shared<const WorkerCalls>(std::move(services))) {}

  // The caller's own catalog, from the caller's worker. 422 when it has more than kMaxCatalogBytes.
  boost::asio::awaitable<std::expected<std::string, http::Problem>> operator()(
      const http::Request& request, const auth::Principal& principal) const;

 private:
  std::shared_ptr<const WorkerCalls> calls_;
};

}  // namespace pondpilot::proxy::sql
