#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <chrono>

#include "base/clock.h"

namespace pondpilot::proxy::fleet {

// The clock that the fleet's timers go by: the machine's, unless a test has set one of its own. Such a test
// runs its io_context by polling, as nothing wakes it.
struct TimerClock {
  using duration = base::Clock::Steady::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = base::Clock::Steady;
  static constexpr bool is_steady = true;

  static time_point now() { return clock ? clock->Now() : base::Clock::System().Now(); }

  // Null: the machine's. Set while no timer exists.
  static inline const base::Clock* clock = nullptr;
};

// How long the reactor sleeps until it looks at the timers: in a test's time it does not, as nothing would
// wake it.
struct TimerWait {
  static TimerClock::duration to_wait_duration(const TimerClock::duration& until_due) {
    return TimerClock::clock ? TimerClock::duration::zero() : until_due;
  }
  static TimerClock::duration to_wait_duration(const TimerClock::time_point& due) {
    return to_wait_duration(due - TimerClock::now());
  }
};

using Timer = boost::asio::basic_waitable_timer<TimerClock, TimerWait>;

}  // namespace pondpilot::proxy::fleet
