#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "config/config.h"
#include "proxy/admin/health.h"
#include "proxy/backend.h"
#include "proxy/fleet/fleet.h"

namespace pondpilot::proxy {

// Gathers what /health/detailed and /ready show from the parts that the composition root has wired. On the
// HTTP server's executor, where nothing else is said.
class ProxyHealth final : public admin::HealthSource {
 public:
  // Everything must outlive this object.
  ProxyHealth(const config::Config& config, Backend& backend, const fleet::Fleet& fleet,
              const base::Clock& clock);

  boost::asio::awaitable<admin::HealthReport> Report() override;

  // From any thread.
  void SetDatabases(std::vector<config::AttachedDatabase> databases);
  // From now on the proxy is not ready. From any thread.
  void StartDraining() { draining_.store(true); }

 private:
  boost::asio::awaitable<void> CheckLauncher();

  const config::Config& config_;
  Backend& backend_;
  const fleet::Fleet& fleet_;
  const base::Clock& clock_;
  const base::Clock::Steady started_at_;
  std::atomic<bool> draining_{false};
  std::mutex databases_mutex_;
  std::vector<config::AttachedDatabase> databases_;
  // The engine is asked at most this often, however many health checks come.
  static constexpr std::chrono::seconds kCheckEvery{2};
  std::optional<base::Clock::Steady> checked_at_;
  admin::Component launcher_state_{"unknown", ""};
};

}  // namespace pondpilot::proxy
