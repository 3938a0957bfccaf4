#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/launch/launcher.h"

namespace pondpilot::proxy::fleet {

// Why a worker ends, as the log line says it.
// kEvicted: unused, and another user needed its place. kOutdated: warm, and the files that it was launched
// with are others now. kOperator: somebody has asked for it.
enum class StopReason {
  kIdleTimeout,
  kEvicted,
  kShutdown,
  kUnhealthy,
  kReplaced,
  kOutOfMemory,
  kKilled,
  kExited,
  kOutdated,
  kOperator
};
inline constexpr int kStopReasons = static_cast<int>(StopReason::kOperator) + 1;

std::string_view ToString(StopReason reason);
StopReason ReasonOf(const launch::WorkerExit& exit);
// A sentence for the user whose statement was cut off. Empty for reasons that cut nothing off.
std::string SentenceFor(StopReason reason, const std::optional<launch::WorkerExit>& exit);

}  // namespace pondpilot::proxy::fleet
