#pragma once

#include <array>

#include "proxy/fleet/fleet.h"
#include "telemetry/metrics.h"

namespace pondpilot::proxy {

// What the proxy measures of its fleet, as /metrics shows it. Before the fleet, and outlives it.
class FleetMetrics final : public fleet::FleetObserver {
 public:
  explicit FleetMetrics(telemetry::Registry& registry);

  // How many workers there are now, and what they use. The fleet must outlive the registry's last Render.
  void Watch(const fleet::Fleet& fleet);

  void Spawned(const fleet::SpawnTimes& times, bool warm) override;
  void SpawnFailed() override { failed_.Add(); }
  void Stopped(fleet::StopReason reason) override { stopped_[static_cast<size_t>(reason)]->Add(); }
  void Adopted() override { adopted_.Add(); }

 private:
  struct Phases {
    Phases(telemetry::Registry& registry, const char* source);
    telemetry::Histogram &queue, &create, &start, &ready, &attach, &total;
  };

  telemetry::Registry& registry_;
  Phases cold_;
  Phases warm_;
  telemetry::Counter& failed_;
  telemetry::Counter& adopted_;
  std::array<telemetry::Counter*, fleet::kStopReasons> stopped_{};
};

}  // namespace pondpilot::proxy
