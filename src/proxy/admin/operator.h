#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "proxy/access/gate.h"
#include "proxy/http/router.h"
#include "telemetry/metrics.h"

namespace pondpilot::proxy::admin {

// A worker as GET /admin/workers shows it. What it says of itself is its last heartbeat's.
struct WorkerRow {
  std::string worker_id;
  std::string container_id;
  std::string user_id;  // empty: nobody's yet
  std::string state;    // "starting", "ready", "draining", "warm"
  std::string profile;  // empty: the default limits
  std::chrono::seconds age{0};
  std::chrono::seconds idle{0};  // since its last call ended; 0 while one is open
  uint64_t calls = 0;            // open at the proxy
  uint64_t running_statements = 0;
  uint64_t open_streams = 0;
  uint64_t open_transactions = 0;
  uint64_t memory_bytes = 0;
  uint64_t peak_memory_bytes = 0;
  std::chrono::milliseconds cpu{0};
};

// What operators see and steer; the composition root implements it.
class OperatorSource {
 public:
  virtual ~OperatorSource() = default;
  virtual std::vector<WorkerRow> Workers() = 0;
  // Begins to stop it; its user's next call gets another. False: there is no such worker, or it is stopping.
  virtual bool StopWorker(const std::string& worker_id) = 0;
  // Ends the proxy in good order: nothing new is taken, what runs may go on for `grace`. False: it ends
  // already.
  virtual bool Drain(std::chrono::milliseconds grace) = 0;
};

// GET /metrics for whoever asks: for a listener that only Prometheus reaches. `metrics` must outlive the
// router.
http::Route OpenMetricsRoute(const telemetry::Registry& metrics);

// GET and DELETE /admin/workers, POST /admin/drain, GET /metrics. They want a token with the claim
// "pondpilot_admin": true. Everything must outlive the router.
std::vector<http::Route> OperatorRoutes(OperatorSource& source, const access::Gate& gate,
                                        const telemetry::Registry& metrics);

}  // namespace pondpilot::proxy::admin
