#pragma once

#include <chrono>
#include <string>

namespace pondpilot::proxy::fleet {

// When a worker broke off, its exit is usually known a moment later: so often, and this far apart, its lease
// is asked for the reason.
inline constexpr std::chrono::milliseconds kVerdictTick{25};
inline constexpr int kVerdictTicks = 32;

// For the user, when the worker broke off in the middle of an answer. `death_reason` is the lease's; it may
// be empty.
inline std::string LostWorkerMessage(const std::string& death_reason) {
  if (death_reason.empty()) {
    return "The connection to your database worker broke before its answer was complete. Whether the "
           "statement took effect "
           "is not known: look before you run it again.";
  }
  return death_reason +
         " Its session is lost. Run the statement again: a fresh worker starts with the next call.";
}

}  // namespace pondpilot::proxy::fleet
