#include "proxy/limits/token_bucket.h"

#include <algorithm>
#include <cmath>

namespace pondpilot::proxy::limits {

std::optional<std::chrono::milliseconds> TokenBucket::Take(const Rate& rate, base::Clock::Steady now) {
  const double per_ms = rate.per_minute / 60'000;
  const double passed_ms = std::chrono::duration<double, std::milli>(now - at_).count();
  tokens_ = std::min(rate.burst, tokens_ + std::max(0.0, passed_ms) * per_ms);
  at_ = std::max(at_, now);
  if (tokens_ >= 1) {
    tokens_ -= 1;
    return std::nullopt;
  }
  return std::chrono::milliseconds(static_cast<int64_t>(std::ceil((1 - tokens_) / per_ms)));
}

}  // namespace pondpilot::proxy::limits
