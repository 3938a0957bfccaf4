#include "proxy/limits/rate_limiter.h"

namespace pondpilot::proxy::limits {

RateLimiter::RateLimiter(Rate rate, std::string what, const base::Clock& clock, size_t max_keys)
    : what_(std::move(what)), clock_(clock), max_keys_(max_keys), rate_(rate) {}

base::Result<void> RateLimiter::Take(std::string_view key) {
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
  const auto wait = found->second->bucket.Take(rate_, now);
  if (!wait) return {};
  base::Error error;
  error.code = base::ErrorCode::kResourceExhausted;
  const auto seconds = (wait->count() + 999) / 1000;
  error.message =
      "Rate limit exceeded: too many " + what_ + ". Try again in " + std::to_string(seconds) + " s.";
  error.retry_after = *wait;
  return std::unexpected(std::move(error));
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
