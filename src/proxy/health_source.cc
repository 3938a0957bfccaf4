#include "proxy/health_source.h"

namespace pondpilot::proxy {

ProxyHealth::ProxyHealth(const config::Config& config, Backend& backend, const fleet::Fleet& fleet,
                         const base::Clock& clock)
    : config_(config),
      backend_(backend),
      fleet_(fleet),
      clock_(clock),
      started_at_(clock.Now()),
      databases_(config.duckdb.attached_databases) {}

boost::asio::awaitable<void> ProxyHealth::CheckLauncher() {
  const auto now = clock_.Now();
  if (checked_at_ && now - *checked_at_ < kCheckEvery) co_return;
  checked_at_ = now;
  const base::Result<void> checked = co_await backend_.launcher().Check();
  launcher_state_ =
      checked ? admin::Component{"ok", ""} : admin::Component{"unavailable", backend_.unavailable_reason()};
}

boost::asio::awaitable<admin::HealthReport> ProxyHealth::Report() {
  co_await CheckLauncher();
  admin::HealthReport report;
  const fleet::FleetCounts counts = fleet_.Counts();
  report.workers_active = counts.active;
  report.workers_warm = counts.warm;
  report.users_queued = counts.queued;
  report.workers_spawned = counts.total_spawned;
  report.workers_stopped = counts.total_stopped;
  report.uptime = std::chrono::duration_cast<std::chrono::seconds>(clock_.Now() - started_at_);
  report.components["launcher"] = launcher_state_;
  report.components["launcher." + backend_.name()] = launcher_state_;
  if (std::string missing = backend_.MissingIsolation(); !missing.empty()) {
    report.components["isolation"] = {"partial", std::move(missing)};
  }
  report.components["grpc"] = {"ok", ""};
  const auto provider = [](const base::Secret& key) {
    return admin::Component{key.empty() ? "not_configured" : "ok", ""};
  };
  report.components["ai.claude"] = provider(config_.ai.claude_api_key);
  report.components["ai.openai"] = provider(config_.ai.openai_api_key);
  std::vector<config::AttachedDatabase> databases;
  {
    const std::scoped_lock lock(databases_mutex_);
    databases = databases_;
  }
  for (const config::AttachedDatabase& database : databases) {
    // Workers connect to databases, the proxy doesn't: until one has, nothing is known.
    report.databases[database.alias] = database.unavailable
                                           ? admin::Component{"unavailable", *database.unavailable}
                                           : admin::Component{"unknown", ""};
  }
  for (const fleet::AttachmentState& state : fleet_.LastAttachmentStates()) {
    // A worker that was started before a reload may have others.
    if (!report.databases.contains(state.alias)) continue;
    report.databases[state.alias] =
        state.available ? admin::Component{"ok", ""} : admin::Component{"unavailable", state.reason};
  }
  if (launcher_state_.status == "unavailable") report.not_ready.push_back(launcher_state_.reason);
  if (draining_.load()) report.not_ready.emplace_back("The proxy is shutting down.");
  co_return report;
}

void ProxyHealth::SetDatabases(std::vector<config::AttachedDatabase> databases) {
  const std::scoped_lock lock(databases_mutex_);
  databases_ = std::move(databases);
}

}  // namespace pondpilot::proxy
