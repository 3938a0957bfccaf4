#pragma once

#include <chrono>
#include <mutex>

#include "base/clock.h"

namespace pondpilot::worker::control {

// How long the worker may live without hearing from its proxy. Thread-safe.
class Lease {
 public:
  // Runs out at `first` from now unless it is renewed.
  Lease(const base::Clock& clock, std::chrono::milliseconds first);

  // From now on the lease is `length` long, counted from the last Renew.
  void Grant(std::chrono::milliseconds length);
  void Renew();
  bool Expired() const;
  // Until it expires when it is not heard from; 0 when it has expired.
  std::chrono::milliseconds Left() const;

 private:
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::chrono::milliseconds length_;
  base::Clock::Steady heard_at_;
};

}  // namespace pondpilot::worker::control
