#include "base/clock.h"

#include <gtest/gtest.h>

namespace pondpilot::base {
namespace {

TEST(ClockTest, SystemSteadyTimeNeverGoesBack) {
  const Clock& clock = Clock::System();
  const auto first = clock.Now();
  EXPECT_GE(clock.Now(), first);
}

TEST(ClockTest, ManualClockMovesBothTimesTogether) {
  ManualClock clock;
  const auto steady = clock.Now();
  const auto wall = clock.WallNow();
  clock.Advance(std::chrono::seconds(90));
  EXPECT_EQ(clock.Now() - steady, std::chrono::seconds(90));
  EXPECT_EQ(clock.WallNow() - wall, std::chrono::seconds(90));
}

}  // namespace
}  // namespace pondpilot::base
