#pragma once

#include <chrono>

namespace pondpilot::base {

// Time as decisions see it. Only clock.cc reads the machine's clocks; everything that decides by time takes a
// Clock, so that tests can turn it.
class Clock {
 public:
  using Steady = std::chrono::steady_clock::time_point;
  using Wall = std::chrono::system_clock::time_point;

  virtual ~Clock() = default;

  // For intervals and deadlines; never goes back.
  virtual Steady Now() const = 0;
  // For calendar time: token expiry, log lines.
  virtual Wall WallNow() const = 0;

  // The machine's clocks. Lives for the whole process; thread-safe.
  static const Clock& System();
};

// A clock that stands until it is advanced. Not thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Wall wall = Wall(std::chrono::seconds(1'800'000'000))) : wall_(wall) {}

  Steady Now() const override { return steady_; }
  Wall WallNow() const override { return wall_; }

  void Advance(std::chrono::nanoseconds by) {
    steady_ += std::chrono::duration_cast<Steady::duration>(by);
    wall_ += std::chrono::duration_cast<Wall::duration>(by);
  }

 private:
  Steady steady_{std::chrono::hours(1)};
  Wall wall_;
};

}  // namespace pondpilot::base
