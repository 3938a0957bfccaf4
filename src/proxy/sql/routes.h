#pragma once

#include <vector>

#include "proxy/access/gate.h"
#include "proxy/http/router.h"
#include "proxy/sql/worker_calls.h"

namespace pondpilot::proxy::sql {

struct SqlServices {
  const access::Gate* gate = nullptr;
  WorkerServices workers;
};

// POST /sql and GET /catalog. They must be served on one thread, the fleet's executor's.
std::vector<http::Route> SqlRoutes(SqlServices services);

}  // namespace pondpilot::proxy::sql
