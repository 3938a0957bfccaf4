#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/error.h"
#include "proxy/limits/token_bucket.h"

namespace pondpilot::proxy::limits {

// Where a key stands after it has asked for a request.
struct Standing {
  int64_t limit = 0;                   // the depth of its bucket
  int64_t remaining = 0;               // whole requests that are left
  std::chrono::seconds until_full{0};  // when nothing more is asked for, rounded up
};

struct Answer {
  base::Result<void> taken;  // kResourceExhausted with retry_after when the bucket is empty
  Standing standing;
};

// One token bucket per key (a user, a client address). Holds at most `max_keys` of them and forgets the one
// used longest ago, so that invented keys cost no memory. Thread-safe.
class RateLimiter {
 public:
  // `what` names what is counted in the refusal ("requests"). `clock` must outlive the limiter.
  RateLimiter(Rate rate, std::string what, const base::Clock& clock, size_t max_keys = 100'000);

  // Takes one request from `key`'s bucket.
  Answer Ask(std::string_view key);
  base::Result<void> Take(std::string_view key) { return Ask(key).taken; }

  // From now on. Nobody keeps more than the new burst.
  void SetRate(Rate rate);

  size_t keys() const;

 private:
  struct Entry {
    std::string key;
    TokenBucket bucket;
  };
  using Order = std::list<Entry>;  // used last in front

  const std::string what_;
  const base::Clock& clock_;
  const size_t max_keys_;
  mutable std::mutex mutex_;
  Rate rate_;
  Order order_;
  std::unordered_map<std::string_view, Order::iterator> by_key_;  // views into order_
};

}  // namespace pondpilot::proxy::limits
