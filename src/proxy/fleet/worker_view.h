#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "proxy/fleet/worker_control.h"

namespace pondpilot::proxy::fleet {

enum class WorkerState { kStarting, kReady, kDraining, kWarm };
inline constexpr WorkerState kWorkerStates[] = {WorkerState::kStarting, WorkerState::kReady,
                                                WorkerState::kDraining, WorkerState::kWarm};
// "starting", "ready" …
std::string_view ToString(WorkerState state);

// A worker as operators see it.
struct WorkerView {
  std::string worker_id;  // empty: not launched yet
  std::string handle;
  std::string user_id;  // empty: nobody's yet
  std::string profile;  // empty: the usual limits
  WorkerState state = WorkerState::kStarting;
  std::chrono::seconds age{0};   // since its launch, or its adoption
  std::chrono::seconds idle{0};  // since its last call ended; 0 while one is open
  size_t calls = 0;
  WorkerActivity activity;  // as it said at its last heartbeat
};

}  // namespace pondpilot::proxy::fleet
