#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "proxy/fleet/fleet_fixture.h"

namespace pondpilot::proxy::fleet {
namespace {

using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(FleetTest, OneLaunchForManyThreads) {
  options_.max_calls_per_user = 1000;
  Make();
  world_.hold_launches = true;
  constexpr int kThreads = 16;
  constexpr int kEach = 20;
  std::barrier ready(kThreads);
  std::mutex mutex;
  std::vector<Answer> answers;
  {
    std::vector<std::jthread> threads;
    threads.reserve(kThreads);
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        ready.arrive_and_wait();
        for (int n = 0; n < kEach; ++n) {
          auto answer = Ask("alice");
          const std::scoped_lock lock(mutex);
          answers.push_back(std::move(answer));
        }
      });
    }
  }
  world_.hold_launches = false;
  std::set<std::string> handles;
  for (Answer& answer : answers) {
    auto lease = answer.get();
    ASSERT_TRUE(lease);
    handles.insert(lease->worker().handle);
    EXPECT_EQ(lease->worker().user_id, "alice");
  }
  EXPECT_EQ(handles.size(), 1u);
  EXPECT_EQ(world_.launches, 1);
  EXPECT_EQ(fleet_->Counts().total_spawned, 1u);
  EXPECT_TRUE(Logged("msg=\"Container spawned\" user_id=alice container_id=c-")) << Lines::All();
}

TEST_F(FleetTest, AReadyWorkerIsGivenBeforeAcquireReturns) {
  Make();
  Lease("alice");
  bool given = false;
  fleet_->Acquire("alice", "", std::chrono::steady_clock::now(),
                  [&](auto result) { given = result.has_value(); });
  EXPECT_TRUE(given);
}

TEST_F(FleetTest, UsersHaveWorkersAndTokensOfTheirOwn) {
  Make();
  const auto alice = Lease("alice");
  const auto bob = Lease("bob");
  EXPECT_NE(alice.worker().handle, bob.worker().handle);
  EXPECT_NE(alice.worker().token.Reveal(), bob.worker().token.Reveal());
  EXPECT_EQ(fleet_->Counts().active, 2u);
  ASSERT_EQ(fleet_->LastAttachmentStates().size(), 1u);
  EXPECT_EQ(fleet_->LastAttachmentStates()[0].alias, "shop");
}

TEST_F(FleetTest, AWaiterIsAnsweredAtItsDeadlineAndTheStartGoesOn) {
  Make();
  world_.hold_launches = true;
  auto patient = Ask("alice");
  auto hasty = Ask("alice", milliseconds(30)).get();
  ASSERT_FALSE(hasty);
  EXPECT_EQ(hasty.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(patient.wait_for(seconds(0)), std::future_status::timeout);
  world_.hold_launches = false;
  EXPECT_TRUE(patient.get());
  EXPECT_EQ(world_.launches, 1);
}

TEST_F(FleetTest, WaitersAreBounded) {
  options_.max_waiters = 2;
  Make();
  world_.hold_launches = true;
  auto first = Ask("alice");
  auto second = Ask("bob");
  auto third = Ask("alice").get();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(third.error().retry_after);
  world_.hold_launches = false;
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
}

TEST_F(FleetTest, WhoWithdrawsIsAnsweredAndFreesItsPlace) {
  options_.max_calls_per_user = 1;
  Make();
  world_.hold_launches = true;
  std::promise<base::Result<WorkerLease>> promise;
  auto answer = promise.get_future();
  const uint64_t ticket =
      fleet_->Acquire("alice", "", std::chrono::steady_clock::now() + seconds(20),
                      [&](base::Result<WorkerLease> result) { promise.set_value(std::move(result)); });
  EXPECT_FALSE(Ask("alice").get());
  fleet_->Withdraw("alice", ticket);
  const auto withdrawn = answer.get();
  ASSERT_FALSE(withdrawn);
  EXPECT_EQ(withdrawn.error().code, ErrorCode::kCancelled);
  fleet_->Withdraw("alice", ticket);  // a second time, and after the answer, is nothing
  auto next = Ask("alice");
  world_.hold_launches = false;
  EXPECT_TRUE(next.get());
}

TEST_F(FleetTest, TheCallsOfOneUserAreBoundedAndOfNobodyElse) {
  options_.max_calls_per_user = 2;
  Make();
  world_.hold_launches = true;
  auto first = Ask("alice");
  auto second = Ask("alice");
  const auto waiting = Ask("alice").get();
  ASSERT_FALSE(waiting);
  EXPECT_EQ(waiting.error().code, base::ErrorCode::kResourceExhausted);
  EXPECT_THAT(waiting.error().message, HasSubstr("2 calls open"));
  EXPECT_TRUE(waiting.error().retry_after);
  world_.hold_launches = false;
  auto one = first.get();
  const auto two = second.get();
  ASSERT_TRUE(one && two);
  EXPECT_FALSE(Ask("alice").get());
  EXPECT_TRUE(Ask("bob").get());
  *one = WorkerLease();
  EXPECT_TRUE(Ask("alice").get());
}

TEST_F(FleetTest, AFailedLaunchIsToldAndBackedOff) {
  Make();
  world_.fail_launches = true;
  auto first = Ask("alice").get();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(first.error().message, HasSubstr("could not be started"));
  EXPECT_THAT(first.error().message, Not(HasSubstr("no such image")));
  EXPECT_THAT(first.error().detail, HasSubstr("no such image"));
  EXPECT_EQ(first.error().retry_after, seconds(1));
  EXPECT_TRUE(Logged("level=error msg=\"Container spawn failed\" user_id=alice error=\"no such image"))
      << Lines::All();

  auto second = Ask("alice").get();
  ASSERT_FALSE(second);
  EXPECT_LE(second.error().retry_after, seconds(1));
  EXPECT_EQ(world_.launches, 1) << "tried again within the back-off";

  std::this_thread::sleep_for(*second.error().retry_after);
  auto third = Ask("alice").get();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().retry_after, seconds(2)) << "the back-off did not double";
  EXPECT_EQ(world_.launches, 2);

  world_.fail_launches = false;
  EXPECT_TRUE(Lease("bob")) << "one user's failures are another's";
}

TEST_F(FleetTest, AWorkerThatIsNeverAssignedIsRemoved) {
  options_.start_timeout = milliseconds(60);
  Make();
  world_.hold_assigns = true;
  auto result = Ask("alice").get();
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().detail, HasSubstr("no answer"));
  EXPECT_THAT(world_.running, IsEmpty());
  EXPECT_EQ(fleet_->Counts().active, 0u);
}

TEST_F(FleetTest, AWorkerThatDiesWhileItStartsEndsTheStartAtOnce) {
  Make();
  world_.hold_assigns = true;
  world_.exit_at_start = launch::WorkerExit{137, true};
  const auto begun = std::chrono::steady_clock::now();
  auto result = Ask("alice").get();
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().detail, HasSubstr("out of memory"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
}

TEST_F(FleetTest, AtTheCapTheIdlestUnusedWorkerGivesWay) {
  options_.max_workers = 2;
  Make();
  const auto first = Lease("first").worker().handle;
  const auto second = Lease("second").worker().handle;
  const auto third = Lease("third");
  EXPECT_TRUE(third);
  {
    const std::scoped_lock lock(world_.mutex);
    EXPECT_TRUE(world_.workers[first]->removed);
    EXPECT_FALSE(world_.workers[second]->removed);
    EXPECT_EQ(world_.most_running, 2u);
  }
}

TEST_F(FleetTest, AtTheCapWithoutAnUnusedWorkerTheErrorSaysWhenToRetry) {
  options_.max_workers = 2;
  Make();
  const auto leased = Lease("leased");
  const auto transaction = Lease("transaction").worker().handle;
  world_.Change(transaction, [](FakeWorker& worker) { worker.activity.open_transactions = 1; });
  auto result = Ask("third").get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(result.error().retry_after, seconds(5));
  EXPECT_EQ(fleet_->Counts().total_stopped, 0u);
  world_.Change(transaction, [](FakeWorker& worker) { worker.activity.open_transactions = 0; });
  EXPECT_TRUE(Lease("third"));
}

TEST_F(FleetTest, EachWhoWaitsHasAWorkerStoppedForThem) {
  options_.max_workers = 2;
  options_.queue_timeout = milliseconds(0);
  Make();
  Lease("first");
  Lease("second");
  world_.hold_stops = true;
  auto third = Ask("third");
  auto fourth = Ask("fourth");
  ASSERT_TRUE(Eventually([&] { return fleet_->Counts().active == 2 && fleet_->Counts().queued == 2; }));
  world_.hold_stops = false;
  EXPECT_TRUE(third.get());
  EXPECT_TRUE(fourth.get());
}

TEST_F(FleetTest, AtTheCapUsersWaitInTheOrderOfTheirComing) {
  options_.max_workers = 1;
  options_.queue_timeout = seconds(20);
  Make();
  auto busy = Lease("busy");
  auto first = Ask("first");
  ASSERT_TRUE(Eventually([&] { return fleet_->Counts().queued == 1; }));
  auto second = Ask("second");
  ASSERT_TRUE(Eventually([&] { return fleet_->Counts().queued == 2; }));
  busy = WorkerLease();
  auto lease = first.get();
  ASSERT_TRUE(lease);
  EXPECT_EQ(second.wait_for(milliseconds(30)), std::future_status::timeout);
  EXPECT_EQ(fleet_->Counts().queued, 1u);
  *lease = WorkerLease();
  EXPECT_TRUE(second.get());
  EXPECT_EQ(fleet_->Counts().queued, 0u);
}

TEST_F(FleetTest, WhoGivesUpInTheQueueMakesRoomForTheNext) {
  options_.max_workers = 1;
  options_.queue_timeout = seconds(20);
  Make();
  auto busy = Lease("busy");
  auto hasty = Ask("hasty", milliseconds(50));
  auto patient = Ask("patient");
  EXPECT_EQ(hasty.get().error().code, ErrorCode::kDeadlineExceeded);
  busy = WorkerLease();
  EXPECT_TRUE(patient.get());
  EXPECT_EQ(world_.launches, 2) << "nothing was launched for who had left";
  EXPECT_TRUE(Lease("hasty")) << "and who comes back is served";
}

TEST_F(FleetTest, AWaitInTheQueueEndsWithAnErrorThatSaysWhenToRetry) {
  options_.max_workers = 1;
  options_.queue_timeout = milliseconds(60);
  Make();
  const auto busy = Lease("busy");
  const auto refused = Ask("late").get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().retry_after, seconds(5));
  EXPECT_EQ(fleet_->Counts().queued, 0u);
}

TEST_F(FleetTest, ManyUsersAndThreadsUnderACapEachGetOneAnswer) {
  options_.max_workers = 3;
  options_.idle_timeout = milliseconds(30);
  Make();
  std::atomic<int> granted = 0;
  std::atomic<int> refused = 0;
  {
    std::vector<std::jthread> threads;
    threads.reserve(8);
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        for (int n = 0; n < 40; ++n) {
          auto result = Ask("user" + std::to_string((i + n) % 6), seconds(5)).get();
          if (result) {
            ++granted;
            EXPECT_EQ(result->worker().user_id, "user" + std::to_string((i + n) % 6));
          } else {
            ++refused;
            EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted) << result.error().message;
          }
        }
      });
    }
  }
  EXPECT_EQ(granted + refused, 320);
  EXPECT_GT(granted, 0);
  const std::scoped_lock lock(world_.mutex);
  EXPECT_LE(world_.most_running, 3u);
}

}  // namespace
}  // namespace pondpilot::proxy::fleet
