#include "worker/session/session.h"

#include <arrow/record_batch.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "worker/session/eventually.h"
#include "worker/session/fake_engine.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::session {
namespace {

using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

class SessionTest : public testing::Test {
 protected:
  using Ran = base::Result<std::shared_ptr<OpenResult>>;

  Ran TryRun(
      const std::string& connection, std::string_view sql, milliseconds wait = seconds(20),
      CallWatch::Gone gone = [] { return false; }) {
    return runner_.Execute({connection, std::move(gone), base::Clock::System().Now() + wait}, sql);
  }
  std::shared_ptr<OpenResult> Run(const std::string& connection, std::string_view sql) {
    auto result = TryRun(connection, sql);
    EXPECT_TRUE(result) << sql << ": " << result.error().message;
    return result ? *result : nullptr;
  }
  std::shared_ptr<OpenResult> Run(std::string_view sql) { return Run("a", sql); }
  Session::State StateOf(const std::string& connection) {
    return (*runner_.sessions().Get(connection))->state();
  }

  // -1: an error.
  static int64_t Rows(OpenResult& result) {
    int64_t rows = 0;
    for (;;) {
      auto batch = result.Next();
      if (!batch) return -1;
      if (*batch == nullptr) return rows;
      rows += (*batch)->num_rows();
    }
  }

  FakeEngine engine_;
  StatementRunner runner_{engine_, base::Clock::System()};
};

TEST_F(SessionTest, ASmallResultFreesItsConnectionBeforeItIsRead) {
  const auto first = Run("rows 3");
  EXPECT_FALSE(first->HoldsConnection());
  EXPECT_FALSE(StateOf("a").busy);
  EXPECT_EQ(runner_.activity().Get().open_streams, 1u) << "it is not read yet";
  const auto second = Run("rows 0");
  EXPECT_EQ(engine_.connections, 1);
  EXPECT_EQ(Rows(*first), 3);
  EXPECT_EQ(Rows(*second), 0);
}

TEST_F(SessionTest, ALargeResultIsNotFetchedAhead) {
  const auto result = Run("rows 1000000");
  EXPECT_TRUE(StateOf("a").busy);
  EXPECT_GT(result->waiting_bytes(), 0u);
  EXPECT_LT(result->waiting_bytes(), 2'000'000u);
  EXPECT_EQ(Rows(*result), 1'000'000);
  EXPECT_EQ(result->waiting_bytes(), 0u);
  EXPECT_FALSE(StateOf("a").busy);
}

TEST_F(SessionTest, ExactlyFullBatchesEndAsTheyShould) {
  EXPECT_EQ(Rows(*Run("rows 65536")), 65536);
  EXPECT_EQ(Rows(*Run("rows 131072")), 131072);
}

TEST_F(SessionTest, BatchesHaveABoundInBytes) {
  const auto result = Run("wide 70000");  // about 66 MB in two batches
  int64_t rows = 0;
  int64_t largest = 0;
  for (;;) {
    const auto batch = result->Next();
    ASSERT_TRUE(batch);
    if (*batch == nullptr) break;
    ASSERT_TRUE((*batch)->ValidateFull().ok());
    const auto& text = static_cast<const arrow::StringArray&>(*(*batch)->column(0));
    EXPECT_TRUE(text.GetView(0).starts_with(std::to_string(rows) + "x")) << "none lost, none twice";
    largest = std::max(largest, (*batch)->num_rows());
    rows += (*batch)->num_rows();
  }
  EXPECT_EQ(rows, 70'000);
  EXPECT_LE(largest * 1000, static_cast<int64_t>(OpenResult::kMaxBatchBytes));
  EXPECT_GE(largest * 1000, static_cast<int64_t>(OpenResult::kMaxBatchBytes / 4)) << "and are no crumbs";
}

TEST_F(SessionTest, StatementsOverlapOnConnectionsOfTheirOwn) {
  const auto first = Run("rows 1000000");
  const auto second = Run("rows 1000000");
  EXPECT_EQ(engine_.connections, 2);
  EXPECT_EQ(Rows(*second), 1'000'000);
  EXPECT_EQ(Rows(*first), 1'000'000);
}

TEST_F(SessionTest, ConnectionsNobodyNeedsAreClosed) {
  std::vector<std::shared_ptr<OpenResult>> open;
  for (int i = 0; i < 5; ++i) open.push_back(Run("rows 1000000"));
  EXPECT_EQ(engine_.connections, 5);
  open.clear();
  EXPECT_EQ(engine_.connections, static_cast<int>(Session::kMaxFree));
  EXPECT_EQ(engine_.open_streams, 0);
}

TEST_F(SessionTest, ConnectionsHaveABound) {
  std::vector<std::shared_ptr<OpenResult>> open;
  for (size_t i = 0; i < Session::kMaxConnections; ++i) open.push_back(Run("rows 1000000"));
  const auto refused = TryRun("a", "rows 1", milliseconds(30));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_TRUE(TryRun("b", "rows 1")) << "of one session, not of all";
}

TEST_F(SessionTest, StateStaysWithTheSession) {
  // The connection that has the state is not the first one: the state must not be lost, whichever it is.
  const auto large = Run("rows 1000000");
  Run("set x");
  EXPECT_TRUE(StateOf("a").has_state);
  const auto after = Run("rows 1000000");
  EXPECT_EQ(engine_.connections, 2) << "on the connection with the state";
  EXPECT_EQ(Rows(*large), 1'000'000);
  const auto refused = TryRun("a", "rows 1", milliseconds(30));
  ASSERT_FALSE(refused) << "the other connection is free, but has not the state";
  EXPECT_THAT(refused.error().message, HasSubstr("second connection"));
  EXPECT_EQ(Rows(*after), 1'000'000);
  EXPECT_TRUE(TryRun("a", "rows 1"));
}

TEST_F(SessionTest, StateCountsWhileItsStatementStreams) {
  const auto open = Run("begin 1000000");
  EXPECT_TRUE(open->HoldsConnection());
  EXPECT_EQ(runner_.sessions().Count().open_transactions, 1u);
  EXPECT_FALSE(TryRun("a", "rows 1", milliseconds(30))) << "it belongs into the transaction";
}

TEST_F(SessionTest, AfterCommitConnectionsAreAlikeAgain) {
  Run("begin");
  EXPECT_TRUE(StateOf("a").in_transaction);
  Run("commit");
  EXPECT_FALSE(StateOf("a").has_state);
  const auto first = Run("rows 1000000");
  const auto second = Run("rows 1000000");
  EXPECT_EQ(engine_.connections, 2);
}

TEST_F(SessionTest, OfTwoStatesAtOnceTheFirstHolds) {
  auto first = Run("set 1000000");
  auto second = TryRun("a", "rows 1", milliseconds(30));
  EXPECT_FALSE(second);
  first.reset();
  EXPECT_TRUE(StateOf("a").has_state);
  EXPECT_EQ(engine_.connections, 1);
}

TEST_F(SessionTest, TheLaterOfTwoChangesAtOnceIsToldThatItIsNotKept) {
  const auto session = *runner_.sessions().Get("a");
  const auto take = [&] {
    return std::optional(std::move(*session->Acquire({}, base::Clock::System().Now(), [] { return false; })));
  };
  auto first = take();
  auto second = take();
  ASSERT_TRUE(first->connection().Execute("begin"));
  ASSERT_TRUE(second->connection().Execute("set x"));
  EXPECT_TRUE(first->Settle());
  const auto refused = second->Settle();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kAborted);
  EXPECT_THAT(refused.error().message, HasSubstr("one after the other"));
  // Although the first has no state any more when the second goes: what was refused does not come back.
  ASSERT_TRUE(first->connection().Execute("commit"));
  first.reset();
  second.reset();
  EXPECT_FALSE(session->state().has_state);
  EXPECT_EQ(engine_.connections, 1);
}

TEST_F(SessionTest, WhichChangeWasFirstIsAMatterOfTime) {
  const auto session = *runner_.sessions().Get("a");
  const auto take = [&] {
    return std::optional(std::move(*session->Acquire({}, base::Clock::System().Now(), [] { return false; })));
  };
  auto slow = take();  // has the first place
  auto quick = take();
  ASSERT_TRUE(quick->connection().Execute("begin"));
  EXPECT_TRUE(quick->Settle());
  quick.reset();
  ASSERT_TRUE(slow->connection().Execute("set x"));
  EXPECT_FALSE(slow->Settle());
  slow.reset();
  EXPECT_TRUE(session->state().in_transaction);
  EXPECT_EQ(engine_.connections, 1);
}

TEST_F(SessionTest, SessionsDoNotShareState) {
  Run("a", "set x");
  EXPECT_FALSE(StateOf("b").has_state);
}

TEST_F(SessionTest, WaitersGoInTheirOrder) {
  Run("set x");
  auto open = Run("rows 1000000");
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 5; ++i) {
    threads.emplace_back([&, i] { Run("rows " + std::to_string(i)); });
    // The next one comes when this one is in the queue: counted as running, then some time to get there.
    ASSERT_TRUE(Eventually([&] { return runner_.activity().Get().running_statements == i + 1; }));
    std::this_thread::sleep_for(milliseconds(20));
  }
  open.reset();
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(engine_.ran(),
              ElementsAre("set x", "rows 1000000", "rows 0", "rows 1", "rows 2", "rows 3", "rows 4"));
}

TEST_F(SessionTest, TheQueueHasABound) {
  Run("set x");
  auto open = Run("rows 1000000");
  std::vector<std::thread> threads;
  for (size_t i = 0; i < Session::kMaxWaiting; ++i) threads.emplace_back([&] { Run("rows 1"); });
  EXPECT_TRUE(Eventually([&] {
    const auto refused = TryRun("a", "rows 1", milliseconds(0));
    return !refused && refused.error().code == ErrorCode::kResourceExhausted;
  }));
  open.reset();
  for (auto& thread : threads) thread.join();
}

TEST_F(SessionTest, ACallerWhoLeavesStopsARunningStatement) {
  const auto result = TryRun("a", "block", seconds(20), [&] { return engine_.executing == 1; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(StateOf("a").busy);
  EXPECT_EQ(runner_.activity().Get().running_statements, 0u);
}

TEST_F(SessionTest, ACallerWhoLeftBeforeTheStatementRanStopsItAsWell) {
  // The engine forgets an interrupt that comes before it runs.
  const auto result = TryRun("a", "block", seconds(20), [] { return true; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
}

TEST_F(SessionTest, ACallerWhoLeavesStopsAStatementWhoseRowsDoNotCome) {
  const auto result = TryRun("a", "stall", seconds(20), [&] { return engine_.open_streams == 1; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(engine_.open_streams, 0);
}

TEST_F(SessionTest, ACallerWhoLeavesIsNotWaitedFor) {
  Run("set x");
  const auto open = Run("rows 1000000");
  const auto result = TryRun("a", "rows 1", seconds(20), [] { return true; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  EXPECT_THAT(engine_.ran(), ElementsAre("set x", "rows 1000000"));
}

TEST_F(SessionTest, AnErrorFreesTheConnection) {
  EXPECT_EQ(TryRun("a", "fail Parser Error").error().message, "Parser Error");
  EXPECT_EQ(TryRun("a", "break 10").error().message, "Conversion Error: boom") << "shown at once";
  EXPECT_EQ(Rows(*Run("break 200000")), -1);
  EXPECT_FALSE(StateOf("a").busy);
  EXPECT_EQ(engine_.connections, 1);
  EXPECT_EQ(engine_.open_streams, 0);
}

TEST_F(SessionTest, ADrainingWorkerBeginsNothing) {
  const auto open = Run("rows 1000000");
  runner_.Drain();
  EXPECT_EQ(TryRun("a", "rows 1").error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Rows(*open), 1'000'000) << "but what is open is read";
}

TEST_F(SessionTest, ActivityIsIdleSinceTheLastEnd) {
  base::ManualClock clock;
  Activity activity(clock);
  clock.Advance(seconds(5));
  EXPECT_EQ(activity.Get().idle, seconds(5)) << "since the start";
  activity.StatementStarted();
  activity.StreamOpened();
  activity.StatementEnded();
  clock.Advance(seconds(5));
  EXPECT_EQ(activity.Get().idle, milliseconds(0));
  EXPECT_FALSE(activity.AwaitNone(milliseconds(1)));
  activity.StreamClosed();
  EXPECT_TRUE(activity.AwaitNone(milliseconds(1)));
  clock.Advance(seconds(2));
  EXPECT_EQ(activity.Get().idle, seconds(2));
}

}  // namespace
}  // namespace pondpilot::worker::session
