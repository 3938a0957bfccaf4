#pragma once

#include <memory>
#include <vector>

#include "proxy/access/gate.h"
#include "proxy/http/offload.h"
#include "proxy/http/router.h"
#include "proxy/sql/worker_calls.h"

namespace pondpilot::proxy::sql {

struct SqlServices {
  const access::Gate* gate = nullptr;
  WorkerServices workers;
  std::shared_ptr<http::Offload> offload;  // reads large requests
};

// POST /sql and GET /catalog. They must be served on one thread, the fleet's executor's.
std::vector<http::Route> SqlRoutes(SqlServices services);

}  // namespace pondpilot::proxy::sql
