#include "worker/session/poll_store.h"

#include <gtest/gtest.h>

#include "worker/session/eventually.h"
#include "worker/session/fake_engine.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::session {
namespace {

using base::ErrorCode;
using std::chrono::milliseconds;

constexpr auto kNotGone = [] { return false; };

class Polls : public testing::Test {
 protected:
  base::Result<std::string> Start(const std::string& sql) {
    return runner_.polls().Start([this, sql](const CallWatch::Gone& gone, StatementProgress& progress) {
      return runner_.Execute(
          {"a", gone, base::Clock::System().Now() + std::chrono::seconds(1), {}, &progress}, sql);
    });
  }

  FakeEngine engine_;
  StatementRunner runner_{engine_, base::Clock::System()};
};

TEST_F(Polls, GiveTheResultOnce) {
  const std::string name = *Start("rows 3");
  const auto answer = runner_.polls().Await(name, milliseconds(5000), kNotGone);
  ASSERT_TRUE(answer.has_value());
  ASSERT_TRUE(answer->outcome.has_value());
  ASSERT_TRUE(answer->outcome->has_value());
  EXPECT_EQ((**answer->outcome)->Next().value()->num_rows(), 3);
  EXPECT_EQ(runner_.polls().Await(name, milliseconds(1), kNotGone).error().code, ErrorCode::kNotFound);
}

TEST_F(Polls, TellHowFarItIsAndCanBeCancelled) {
  const std::string name = *Start("block");
  ASSERT_TRUE(Eventually([&] { return engine_.executing == 1; }));
  const auto answer = runner_.polls().Await(name, milliseconds(1), kNotGone);
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->outcome.has_value());
  EXPECT_EQ(answer->progress, 0.25);
  EXPECT_TRUE(runner_.polls().Cancel(name).has_value());
  EXPECT_TRUE(Eventually([&] { return engine_.executing == 0; }));
  EXPECT_EQ(runner_.polls().Cancel(name).error().code, ErrorCode::kNotFound);
}

TEST_F(Polls, ErrorsAreTold) {
  const auto answer = runner_.polls().Await(*Start("fail because"), milliseconds(5000), kNotGone);
  ASSERT_TRUE(answer.has_value() && answer->outcome.has_value());
  EXPECT_EQ(answer->outcome->error().message, "because");
}

TEST_F(Polls, AreBounded) {
  for (size_t i = 0; i < PollStore::kMaxPolls; ++i) ASSERT_TRUE(Start("rows 1").has_value());
  EXPECT_EQ(Start("rows 1").error().code, ErrorCode::kResourceExhausted);
}

TEST(PollsTime, WhoDoesNotAskHasGivenUp) {
  FakeEngine engine;
  base::ManualClock clock;
  TaskThreads threads;
  PollStore polls(clock, threads);
  std::atomic<bool> stopped{false};
  const std::string name = *polls.Start([&](const CallWatch::Gone& gone, StatementProgress&) {
    stopped = Eventually([&] { return gone(); });
    return PollStore::Outcome(base::Fail(ErrorCode::kCancelled, "cancelled"));
  });
  clock.Advance(PollStore::kLife);
  polls.Sweep();
  EXPECT_TRUE(Eventually([&] { return stopped.load(); }));
  EXPECT_EQ(polls.Await(name, milliseconds(1), kNotGone).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace pondpilot::worker::session
