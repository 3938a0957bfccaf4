#pragma once

#include <chrono>

#include "proxy/fleet/stop_reason.h"

namespace pondpilot::proxy::fleet {

// How long each phase of a user's wait for a worker took.
struct SpawnTimes {
  std::chrono::milliseconds queue{0};   // for a place at the cap
  std::chrono::milliseconds create{0};  // of the container
  std::chrono::milliseconds start{0};   // of the container
  std::chrono::milliseconds ready{0};   // until the worker answered
  std::chrono::milliseconds attach{0};  // of the databases
};

// Told of what happens, for metrics. On any thread; must return at once and call nothing of the fleet's.
class FleetObserver {
 public:
  virtual ~FleetObserver() = default;
  // A user has got a worker. `warm`: from the pool.
  virtual void Spawned(const SpawnTimes& times, bool warm) = 0;
  virtual void SpawnFailed() = 0;
  virtual void Stopped(StopReason reason) = 0;
  virtual void Adopted() = 0;
};

}  // namespace pondpilot::proxy::fleet
