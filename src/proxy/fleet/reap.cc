#include "proxy/fleet/reap.h"

#include <algorithm>

namespace pondpilot::proxy::fleet {

bool IsIdle(const WorkerSnapshot& snapshot) {
  // A report older than the last lease says nothing about what that lease left behind, an open transaction
  // say.
  if (snapshot.leased || !snapshot.reported_at || *snapshot.reported_at < snapshot.last_lease_end)
    return false;
  return snapshot.running_statements == 0 && snapshot.open_streams == 0 && snapshot.open_transactions == 0;
}

ReapDecision Decide(const WorkerSnapshot& snapshot, base::Clock::Steady now) {
  if (snapshot.leased) return {};
  const auto timeout = snapshot.kept_objects > 0 ? std::max(snapshot.idle_timeout, snapshot.session_timeout)
                                                 : snapshot.idle_timeout;
  const auto due = snapshot.last_lease_end + timeout;
  if (now < due) return {.stop = false, .look_again = due};
  if (!IsIdle(snapshot)) return {};
  return {.stop = true, .look_again = std::nullopt};
}

}  // namespace pondpilot::proxy::fleet
