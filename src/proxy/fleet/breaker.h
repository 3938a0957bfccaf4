#pragma once

#include <chrono>

#include "base/clock.h"

namespace pondpilot::proxy::fleet {

// Stops the tries at something that fails whoever tries it: after `kTolerated` failures in a row, none for a
// while that doubles with each further failure. Not thread-safe.
class Breaker {
 public:
  static constexpr int kTolerated = 3;
  static constexpr std::chrono::milliseconds kFirstPause = std::chrono::seconds(1);
  static constexpr std::chrono::milliseconds kLongestPause = std::chrono::seconds(30);

  void Succeeded() { failures_ = 0; }
  void Failed(base::Clock::Steady now);
  // How long no try is to be made; 0: now is a good time.
  std::chrono::milliseconds Pause(base::Clock::Steady now) const;

 private:
  int failures_ = 0;
  base::Clock::Steady closed_until_{};
};

// kFirstPause after the first failure, twice as long after each further one, at most kLongestPause.
std::chrono::milliseconds BackOff(int failures);

}  // namespace pondpilot::proxy::fleet
