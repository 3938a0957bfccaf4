#include "proxy/fleet/stop_reason.h"

namespace pondpilot::proxy::fleet {

std::string_view ToString(StopReason reason) {
  switch (reason) {
    case StopReason::kIdleTimeout:
      return "idle_timeout";
    case StopReason::kEvicted:
      return "evicted";
    case StopReason::kShutdown:
      return "shutdown";
    case StopReason::kUnhealthy:
      return "unhealthy";
    case StopReason::kReplaced:
      return "replaced";
    case StopReason::kOutOfMemory:
      return "out_of_memory";
    case StopReason::kKilled:
      return "killed";
    case StopReason::kExited:
      return "exited";
    case StopReason::kOutdated:
      return "outdated";
    case StopReason::kOperator:
      return "operator";
  }
  return "unknown";
}

StopReason ReasonOf(const launch::WorkerExit& exit) {
  if (exit.out_of_memory) return StopReason::kOutOfMemory;
  // 128 + the signal's number: SIGKILL and SIGTERM come from outside.
  if (exit.exit_code == 137 || exit.exit_code == 143) return StopReason::kKilled;
  return StopReason::kExited;
}

std::string SentenceFor(StopReason reason, const std::optional<launch::WorkerExit>& exit) {
  switch (reason) {
    case StopReason::kIdleTimeout:
    case StopReason::kEvicted:
    case StopReason::kOutdated:
      return {};
    case StopReason::kOperator:
      return "The operator has stopped your database worker. The next statement gets a new one; temporary "
             "tables "
             "are lost.";
    case StopReason::kShutdown:
      return "The proxy is shutting down and has stopped your database worker.";
    case StopReason::kUnhealthy:
      return "Your database worker stopped answering and is being replaced. Try again; temporary tables are "
             "lost.";
    case StopReason::kReplaced:
      return "Your database worker was lost and is being replaced. Try again; temporary tables are lost.";
    case StopReason::kOutOfMemory:
      return "Your database worker ran out of memory and was stopped. The next statement gets a new one; "
             "temporary "
             "tables are lost. Make the statement smaller, or ask the operator for a larger memory limit.";
    case StopReason::kKilled:
      return "Your database worker was killed from outside. The next statement gets a new one; temporary "
             "tables are "
             "lost.";
    case StopReason::kExited:
      return "Your database worker ended unexpectedly" +
             (exit ? " (exit code " + std::to_string(exit->exit_code) + ")" : std::string()) +
             ". The next statement gets a new one; temporary tables are lost.";
  }
  return {};
}

}  // namespace pondpilot::proxy::fleet
