#include "proxy/limits/rate_limiter.h"

#include <cmath>

namespace pondpilot::proxy::limits {

RateLimiter::RateLimiter(Rate rate, std::string what, const base::Clock& clock, size_t max_keys)
    : what_(std::move(what)), clock_(clock), max_keys_(max_keys), rate_(rate) {}

Answer RateLimiter::Ask(std::string_view key) {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.Now();
  auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    if (order_.size() >= max_keys_) {
      by_key_.erase(order_.back().key);
      order_.pop_back();
    }
    order_.push_front({std::string(key), TokenBucket(rate_, now)});
    found = by_key_.emplace(order_.front().key, order_.begin()).first;
  } else {
    order_.splice(order_.begin(), order_, found->second);
  }
  const TokenBucket& bucket = found->second->bucket;
  const auto wait = found->second->bucket.Take(rate_, now);
  Answer answer;
  answer.standing.limit = static_cast<int64_t>(rate_.burst);
  answer.standing.remaining = static_cast<int64_t>(bucket.tokens());
  answer.standing.until_full = std::chrono::seconds(
      static_cast<int64_t>(std::ceil((rate_.burst - bucket.tokens()) * 60 / rate_.per_minute)));
  if (!wait) return answer;
  base::Error error;
  error.code = base::ErrorCode::kResourceExhausted;
  const auto seconds = (wait->count() + 999) / 1000;
  error.message =
      "Rate limit exceeded: too many " + what_ + ". Try again in " + std::to_string(seconds) + " s.";
  error.retry_after = *wait;
  answer.taken = std::unexpected(std::move(error));
  return answer;
}

void RateLimiter::SetRate(Rate rate) {
  const std::lock_guard lock(mutex_);
  rate_ = rate;
}

size_t RateLimiter::keys() const {
  const std::lock_guard lock(mutex_);
  return order_.size();
}

}  // namespace pondpilot::proxy::limits
