#include "worker/control/lease.h"

#include <gtest/gtest.h>

namespace pondpilot::worker::control {
namespace {

using std::chrono::seconds;

TEST(Lease, EndsWhenNobodyIsHeard) {
  base::ManualClock clock;
  Lease lease(clock, seconds(60));
  clock.Advance(seconds(60));
  EXPECT_FALSE(lease.Expired());
  clock.Advance(seconds(1));
  EXPECT_TRUE(lease.Expired());
}

TEST(Lease, CountsFromTheLastRenewal) {
  base::ManualClock clock;
  Lease lease(clock, seconds(60));
  for (int i = 0; i < 5; ++i) {
    clock.Advance(seconds(50));
    lease.Renew();
    EXPECT_FALSE(lease.Expired());
  }
  clock.Advance(seconds(61));
  EXPECT_TRUE(lease.Expired());
}

TEST(Lease, SaysHowLongItLastsUnheard) {
  base::ManualClock clock;
  Lease lease(clock, seconds(60));
  EXPECT_EQ(lease.Left(), seconds(60));
  clock.Advance(seconds(50));
  EXPECT_EQ(lease.Left(), seconds(10));
  lease.Renew();
  EXPECT_EQ(lease.Left(), seconds(60));
  clock.Advance(seconds(61));
  EXPECT_EQ(lease.Left(), seconds(0));
}

TEST(Lease, AGrantSetsItsLength) {
  base::ManualClock clock;
  Lease lease(clock, seconds(60));
  clock.Advance(seconds(59));
  lease.Grant(seconds(10));
  clock.Advance(seconds(10));
  EXPECT_FALSE(lease.Expired());
  clock.Advance(seconds(1));
  EXPECT_TRUE(lease.Expired());
  lease.Renew();
  EXPECT_FALSE(lease.Expired()) << "heard in the last moment: the process decides, not the lease";
}

}  // namespace
}  // namespace pondpilot::worker::control
