#include "proxy/fleet/breaker.h"

#include <gtest/gtest.h>

namespace pondpilot::proxy::fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(BreakerTest, AFewFailuresAreTolerated) {
  const base::Clock::Steady now{};
  Breaker breaker;
  for (int i = 1; i < Breaker::kTolerated; ++i) breaker.Failed(now);
  EXPECT_EQ(breaker.Pause(now), milliseconds(0));
  breaker.Failed(now);
  EXPECT_EQ(breaker.Pause(now), seconds(1));
  EXPECT_EQ(breaker.Pause(now + milliseconds(400)), milliseconds(600));
  EXPECT_EQ(breaker.Pause(now + seconds(1)), milliseconds(0));
}

TEST(BreakerTest, ManyThatFailTogetherAreOneFailureMore) {
  const base::Clock::Steady now{};
  Breaker breaker;
  for (int i = 0; i < 20; ++i) breaker.Failed(now);
  EXPECT_EQ(breaker.Pause(now), seconds(1));
}

TEST(BreakerTest, ThePauseDoublesUpToItsBoundAndEndsWithASuccess) {
  base::Clock::Steady now{};
  Breaker breaker;
  for (int i = 0; i < Breaker::kTolerated; ++i) breaker.Failed(now);
  for (const int expected : {2, 4, 8, 16, 30, 30}) {
    now += seconds(40);
    breaker.Failed(now);
    EXPECT_EQ(breaker.Pause(now), seconds(expected));
  }
  breaker.Succeeded();
  EXPECT_EQ(breaker.Pause(now), milliseconds(0));
  breaker.Failed(now);
  EXPECT_EQ(breaker.Pause(now), milliseconds(0)) << "its past counts no more";
}

TEST(BreakerTest, BackOffIsBoundedHoweverManyFailures) {
  EXPECT_EQ(BackOff(1), seconds(1));
  EXPECT_EQ(BackOff(1'000'000), seconds(30));
}

}  // namespace
}  // namespace pondpilot::proxy::fleet
