#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"

namespace pondpilot::proxy::limits {

// How fast requests may come.
struct Rate {
  double per_minute = 100;  // sustained, above 0
  double burst = 200;       // depth of the bucket, at least 1
};

// A token bucket: full at first, refilled at `rate.per_minute`, never above `rate.burst`.
class TokenBucket {
 public:
  TokenBucket(const Rate& rate, base::Clock::Steady now) : tokens_(rate.burst), at_(now) {}

  // Takes one token, or says how long it takes until there is one.
  std::optional<std::chrono::milliseconds> Take(const Rate& rate, base::Clock::Steady now);

  // As the last Take left them.
  double tokens() const { return tokens_; }

 private:
  double tokens_;
  base::Clock::Steady at_;
};

}  // namespace pondpilot::proxy::limits
