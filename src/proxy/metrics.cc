#include "proxy/metrics.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>

namespace pondpilot::proxy {
namespace {

using std::chrono::milliseconds;

telemetry::Histogram& Phase(telemetry::Registry& registry, const char* source, const char* phase) {
  return registry.AddHistogram("pondpilot_worker_start_seconds",
                               "How long users waited for their worker to start, by phase.",
                               telemetry::LatencyBounds(), {{"source", source}, {"phase", phase}});
}

double Seconds(milliseconds duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

FleetMetrics::Phases::Phases(telemetry::Registry& registry, const char* source)
    : queue(Phase(registry, source, "queue")),
      create(Phase(registry, source, "create")),
      start(Phase(registry, source, "start")),
      ready(Phase(registry, source, "ready")),
      attach(Phase(registry, source, "attach")),
      total(Phase(registry, source, "total")) {}

FleetMetrics::FleetMetrics(telemetry::Registry& registry)
    : registry_(registry),
      cold_(registry, "cold"),
      warm_(registry, "warm"),
      failed_(registry.AddCounter("pondpilot_worker_start_failures_total",
                                  "Starts of users' workers that failed.")),
      adopted_(registry.AddCounter("pondpilot_workers_adopted_total",
                                   "Workers taken over from an earlier run of the proxy.")) {
  for (int i = 0; i < fleet::kStopReasons; ++i) {
    const auto reason = static_cast<fleet::StopReason>(i);
    stopped_[static_cast<size_t>(i)] =
        &registry.AddCounter("pondpilot_workers_stopped_total", "Workers that have ended, by reason.",
                             {{"reason", std::string(ToString(reason))}});
  }
}

void FleetMetrics::Watch(const fleet::Fleet& fleet) {
  for (const fleet::WorkerState state : fleet::kWorkerStates) {
    registry_.AddGauge(
        "pondpilot_workers", "Workers that there are now, by state.",
        [&fleet, state] {
          return static_cast<double>(std::ranges::count(fleet.Workers(), state, &fleet::WorkerView::state));
        },
        {{"state", std::string(ToString(state))}});
  }
  registry_.AddGauge("pondpilot_users_queued", "Users who wait at the cap for a worker.",
                     [&fleet] { return static_cast<double>(fleet.Counts().queued); });
  registry_.AddGauge(
      "pondpilot_workers_memory_bytes", "Resident memory of all workers at their last heartbeats.", [&fleet] {
        const auto workers = fleet.Workers();
        return std::accumulate(workers.begin(), workers.end(), 0.0, [](double sum, const auto& w) {
          return sum + static_cast<double>(w.activity.resident_bytes);
        });
      });
}

void FleetMetrics::Spawned(const fleet::SpawnTimes& times, bool warm) {
  Phases& phases = warm ? warm_ : cold_;
  phases.queue.Observe(Seconds(times.queue));
  phases.create.Observe(Seconds(times.create));
  phases.start.Observe(Seconds(times.start));
  phases.ready.Observe(Seconds(times.ready));
  phases.attach.Observe(Seconds(times.attach));
  phases.total.Observe(Seconds(times.queue + times.create + times.start + times.ready + times.attach));
}

}  // namespace pondpilot::proxy
