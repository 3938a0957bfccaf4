#include "base/lock_checks.h"

#include <absl/synchronization/mutex.h>

namespace pondpilot::base {

void SkipLockOrderChecks() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }

}  // namespace pondpilot::base
