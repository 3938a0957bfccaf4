#include "worker/control/lease.h"

#include <algorithm>

namespace pondpilot::worker::control {

Lease::Lease(const base::Clock& clock, std::chrono::milliseconds first)
    : clock_(clock), length_(first), heard_at_(clock.Now()) {}

void Lease::Grant(std::chrono::milliseconds length) {
  const std::lock_guard lock(mutex_);
  length_ = length;
  heard_at_ = clock_.Now();
}

void Lease::Renew() {
  const std::lock_guard lock(mutex_);
  heard_at_ = clock_.Now();
}

bool Lease::Expired() const {
  const std::lock_guard lock(mutex_);
  return clock_.Now() - heard_at_ > length_;
}

std::chrono::milliseconds Lease::Left() const {
  const std::lock_guard lock(mutex_);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(length_ - (clock_.Now() - heard_at_));
  return std::max(left, std::chrono::milliseconds(0));
}

}  // namespace pondpilot::worker::control
