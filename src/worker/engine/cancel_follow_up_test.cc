#include "worker/engine/cancel_follow_up.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

namespace pondpilot::worker::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Does it come true within ten seconds?
template <typename Condition>
bool Soon(Condition condition) {
  const auto until = steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

class CancelFollowUpTest : public ::testing::Test {
 protected:
  duckdb::DuckDB database_{nullptr};
  std::shared_ptr<duckdb::Connection> connection_ = std::make_shared<duckdb::Connection>(database_);
  std::shared_ptr<CallGate> gate_ = std::make_shared<CallGate>();
};

TEST_F(CancelFollowUpTest, ACallThatDoesNotLeaveIsOverdueUntilItHasLeft) {
  CancelFollowUp follow_up(milliseconds(50));
  std::optional<CallGate::Inside> inside(*gate_);
  follow_up.Watch(gate_, connection_);
  EXPECT_FALSE(follow_up.AnyOverdue());
  EXPECT_TRUE(Soon([&] { return follow_up.AnyOverdue(); }));
  // Cancelled again and again, as the watch of its caller does: it is the same call.
  for (int i = 0; i < 3; ++i) follow_up.Watch(gate_, connection_);
  EXPECT_TRUE(follow_up.AnyOverdue());
  inside.reset();
  EXPECT_TRUE(Soon([&] { return !follow_up.AnyOverdue(); }));
}

TEST_F(CancelFollowUpTest, OneThatHasLeftDoesNotExcuseAnother) {
  CancelFollowUp follow_up(milliseconds(50));
  const auto other_gate = std::make_shared<CallGate>();
  const auto other = std::make_shared<duckdb::Connection>(database_);
  std::optional<CallGate::Inside> first(*gate_);
  follow_up.Watch(gate_, connection_);
  EXPECT_TRUE(Soon([&] { return follow_up.AnyOverdue(); }));
  std::optional<CallGate::Inside> second(*other_gate);
  follow_up.Watch(other_gate, other);
  first.reset();
  // The second becomes overdue before or after the first is seen to have left; it stays so.
  std::this_thread::sleep_for(milliseconds(600));
  EXPECT_TRUE(follow_up.AnyOverdue());
  second.reset();
  EXPECT_TRUE(Soon([&] { return !follow_up.AnyOverdue(); }));
}

TEST_F(CancelFollowUpTest, TheNextCallOfTheConnectionIsNotTheCancelledOne) {
  CancelFollowUp follow_up(milliseconds(50));
  std::optional<CallGate::Inside> inside(*gate_);
  follow_up.Watch(gate_, connection_);
  inside.reset();
  inside.emplace(*gate_);
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_FALSE(follow_up.AnyOverdue());
}

TEST(CallGateUsers, CountsConnectionsThatAreInsideOrHoldATransaction) {
  const auto users = std::make_shared<CallGate::Users>(0);
  bool holds = false;
  {
    CallGate gate(users, [&] { return holds; });
    EXPECT_EQ(users->load(), 0);
    {
      const CallGate::Inside inside(gate);
      EXPECT_EQ(users->load(), 1);
      holds = true;
    }
    EXPECT_EQ(users->load(), 1) << "its transaction is open";
    {
      const CallGate::Inside inside(gate);
    }
    EXPECT_EQ(users->load(), 1);
    holds = false;
    {
      const CallGate::Inside inside(gate);
    }
    EXPECT_EQ(users->load(), 0);
    holds = true;
    {
      const CallGate::Inside inside(gate);
    }
  }
  EXPECT_EQ(users->load(), 0) << "it went with its connection";
}

}  // namespace
}  // namespace pondpilot::worker::engine
