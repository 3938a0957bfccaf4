#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "proxy/access/gate.h"
#include "proxy/fleet/fleet.h"
#include "proxy/http/router.h"

namespace pondpilot::proxy::sql {

struct SqlServices {
  const access::Gate* gate = nullptr;
  std::shared_ptr<fleet::Fleet> fleet;
  const base::Clock* clock = nullptr;  // must outlive the routes
  // While it is true no new work is taken.
  std::shared_ptr<const std::atomic<bool>> draining;
  // The longest that a request waits for its worker; may change.
  std::shared_ptr<const std::atomic<std::chrono::milliseconds>> worker_wait;
};

// POST /sql and GET /catalog. They must be served on one thread, the fleet's executor's.
std::vector<http::Route> SqlRoutes(SqlServices services);

}  // namespace pondpilot::proxy::sql
