#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "proxy/http/router.h"

namespace pondpilot::proxy::admin {

// A part of the system as /health/detailed shows it: never a host, a secret or a user.
struct Component {
  std::string status;  // "ok", "partial", "unavailable", "not_configured", "unknown"
  std::string reason;  // empty when there is nothing to say
};

struct HealthReport {
  uint64_t workers_active = 0;
  uint64_t workers_warm = 0;  // ready, nobody's yet
  uint64_t users_queued = 0;  // who wait at the cap
  uint64_t workers_spawned = 0;
  uint64_t workers_stopped = 0;
  std::chrono::seconds uptime{0};
  std::map<std::string, Component> components;  // "launcher", "grpc", "ai.claude" …
  std::map<std::string, Component> databases;   // by alias
  // Why new work can't be taken; empty when it can.
  std::vector<std::string> not_ready;
};

// Where the report comes from; the composition root implements it.
class HealthSource {
 public:
  virtual ~HealthSource() = default;
  virtual boost::asio::awaitable<HealthReport> Report() = 0;
};

// GET /health, /ready and /health/detailed. `source` must outlive the router.
std::vector<http::Route> HealthRoutes(HealthSource& source);

}  // namespace pondpilot::proxy::admin
