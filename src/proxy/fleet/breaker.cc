#include "proxy/fleet/breaker.h"

#include <algorithm>

namespace pondpilot::proxy::fleet {

using std::chrono::milliseconds;

milliseconds BackOff(int failures) {
  milliseconds wait = Breaker::kFirstPause;
  for (int i = 1; i < failures && wait < Breaker::kLongestPause; ++i) wait *= 2;
  return std::min(wait, Breaker::kLongestPause);
}

void Breaker::Failed(base::Clock::Steady now) {
  // One that was under way already tells nothing new.
  if (Pause(now).count() > 0) return;
  ++failures_;
  if (failures_ >= kTolerated) closed_until_ = now + BackOff(failures_ - kTolerated + 1);
}

milliseconds Breaker::Pause(base::Clock::Steady now) const {
  if (failures_ < kTolerated || now >= closed_until_) return milliseconds(0);
  return std::chrono::ceil<milliseconds>(closed_until_ - now);
}

}  // namespace pondpilot::proxy::fleet
