#include "proxy/fleet/reap.h"

#include <gtest/gtest.h>

namespace pondpilot::proxy::fleet {
namespace {

using std::chrono::seconds;

class ReapTest : public ::testing::Test {
 protected:
  ReapTest() {
    snapshot_.last_lease_end = start_;
    snapshot_.reported_at = start_ + seconds(299);
    snapshot_.idle_timeout = seconds(300);
  }

  const base::Clock::Steady start_{std::chrono::hours(1)};
  WorkerSnapshot snapshot_;
};

TEST_F(ReapTest, StopsExactlyWhenTheTimeoutHasPassed) {
  EXPECT_FALSE(Decide(snapshot_, start_ + seconds(299)).stop);
  EXPECT_TRUE(Decide(snapshot_, start_ + seconds(300)).stop);
}

TEST_F(ReapTest, SaysWhenToLookAgain) {
  EXPECT_EQ(Decide(snapshot_, start_ + seconds(10)).look_again, start_ + seconds(300));
}

TEST_F(ReapTest, KeepsALeasedWorkerHoweverLong) {
  snapshot_.leased = true;
  const auto decision = Decide(snapshot_, start_ + seconds(9000));
  EXPECT_FALSE(decision.stop);
  EXPECT_FALSE(decision.look_again);
}

TEST_F(ReapTest, KeepsAWorkerThatWorks) {
  for (uint32_t WorkerSnapshot::* work : {&WorkerSnapshot::running_statements, &WorkerSnapshot::open_streams,
                                          &WorkerSnapshot::open_transactions}) {
    WorkerSnapshot busy = snapshot_;
    busy.*work = 1;
    EXPECT_FALSE(Decide(busy, start_ + seconds(9000)).stop);
    EXPECT_FALSE(IsIdle(busy));
  }
}

TEST_F(ReapTest, AReportFromBeforeTheLastLeaseProvesNothing) {
  snapshot_.reported_at = start_ - seconds(1);
  EXPECT_FALSE(Decide(snapshot_, start_ + seconds(9000)).stop);
  snapshot_.reported_at = std::nullopt;
  EXPECT_FALSE(Decide(snapshot_, start_ + seconds(9000)).stop);
}

TEST_F(ReapTest, WhatAWorkerKeepsGivesItALongerLife) {
  snapshot_.kept_objects = 1;
  snapshot_.session_timeout = seconds(1000);
  EXPECT_FALSE(Decide(snapshot_, start_ + seconds(999)).stop);
  EXPECT_TRUE(Decide(snapshot_, start_ + seconds(1000)).stop);
  snapshot_.session_timeout = seconds(10);
  EXPECT_FALSE(Decide(snapshot_, start_ + seconds(299)).stop) << "never a shorter one";
  EXPECT_TRUE(Decide(snapshot_, start_ + seconds(300)).stop);
}

}  // namespace
}  // namespace pondpilot::proxy::fleet
