#include "proxy/fleet/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "telemetry/log.h"

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// What the fakes share: the state of one worker as its container and its process have it.
struct FakeWorker {
  launch::WorkerSpec spec;
  std::optional<launch::WorkerExit> exit;
  WorkerActivity activity{.attachments = {{"shop", true, ""}}};
  bool silent = false;  // the container runs, nothing answers
  bool drained = false;
  bool removed = false;
};

class Lines {
 public:
  static void Collect(const std::string& line) {
    const std::scoped_lock lock(mutex_);
    lines_.push_back(line);
  }
  static std::string All() {
    const std::scoped_lock lock(mutex_);
    std::string all;
    for (const auto& line : lines_) all += line;
    return all;
  }
  static void Clear() {
    const std::scoped_lock lock(mutex_);
    lines_.clear();
  }

 private:
  static inline std::mutex mutex_;
  static inline std::vector<std::string> lines_;
};

class FakeWorld : public launch::Launcher, public WorkerControlFactory {
 public:
  asio::awaitable<base::Result<void>> Prepare() override { co_return base::Result<void>(); }
  asio::awaitable<base::Result<void>> Check() override { co_return base::Result<void>(); }

  asio::awaitable<base::Result<launch::LaunchedWorker>> Launch(launch::WorkerSpec spec) override {
    ++launches;
    co_await WaitUntil([this] { return !hold_launches.load(); });
    if (fail_launches) co_return base::Fail(ErrorCode::kUnavailable, "no such image", "secret-free detail");
    const std::scoped_lock lock(mutex);
    auto worker = std::make_shared<FakeWorker>();
    worker->spec = spec;
    worker->exit = exit_at_start;
    workers["c-" + spec.worker_id] = worker;
    running.insert("c-" + spec.worker_id);
    most_running = std::max(most_running, running.size());
    co_return launch::LaunchedWorker{spec.worker_id, "c-" + spec.worker_id, "fake:" + spec.worker_id};
  }

  asio::awaitable<base::Result<void>> Stop(std::string handle, milliseconds) override {
    co_await WaitUntil([this] { return !hold_stops.load(); });
    const std::scoped_lock lock(mutex);
    running.erase(handle);
    workers[handle]->removed = true;
    if (!workers[handle]->exit) workers[handle]->exit = launch::WorkerExit{143, false};
    co_return base::Result<void>();
  }

  asio::awaitable<base::Result<launch::WorkerExit>> WaitForExit(std::string handle) override {
    const auto worker = Find(handle);
    co_await WaitUntil([this, worker] {
      const std::scoped_lock lock(mutex);
      return worker->exit.has_value() && !hide_exits;
    });
    const std::scoped_lock lock(mutex);
    running.erase(handle);
    co_return *worker->exit;
  }

  std::shared_ptr<WorkerControl> Connect(const launch::LaunchedWorker& worker,
                                         const base::Secret& token) override;

  std::shared_ptr<FakeWorker> Find(const std::string& handle) {
    const std::scoped_lock lock(mutex);
    return workers.at(handle);
  }

  template <typename F>
  void Change(const std::string& handle, F change) {
    const auto worker = Find(handle);
    const std::scoped_lock lock(mutex);
    change(*worker);
  }

  template <typename F>
  static asio::awaitable<void> WaitUntil(F condition) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!condition()) {
      timer.expires_after(milliseconds(2));
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  std::atomic<int> launches = 0;
  std::atomic<int> assigns = 0;
  std::atomic<bool> hold_launches = false;
  std::atomic<bool> hold_stops = false;
  std::atomic<bool> hold_assigns = false;
  std::atomic<bool> fail_launches = false;
  std::atomic<bool> hide_exits = false;
  std::mutex mutex;
  std::optional<launch::WorkerExit> exit_at_start;
  std::map<std::string, std::shared_ptr<FakeWorker>> workers;
  std::set<std::string> running;
  size_t most_running = 0;
};

class FakeControl final : public WorkerControl {
 public:
  FakeControl(FakeWorld& world, std::shared_ptr<FakeWorker> worker, base::Secret token)
      : world_(world), worker_(std::move(worker)), token_(std::move(token)) {}

  asio::awaitable<base::Result<std::vector<AttachmentState>>> Assign(milliseconds timeout) override {
    ++world_.assigns;
    EXPECT_EQ(base::Sha256Hex(token_.Reveal()), worker_->spec.token_sha256);
    const auto end = std::chrono::steady_clock::now() + timeout;
    co_await FakeWorld::WaitUntil(
        [&] { return !world_.hold_assigns || std::chrono::steady_clock::now() > end; });
    if (world_.hold_assigns) co_return base::Fail(ErrorCode::kDeadlineExceeded, "no answer");
    co_return std::vector<AttachmentState>{{"shop", true, ""}};
  }

  asio::awaitable<base::Result<WorkerActivity>> Status(milliseconds) override {
    const std::scoped_lock lock(world_.mutex);
    if (worker_->exit || worker_->silent) co_return base::Fail(ErrorCode::kUnavailable, "connection refused");
    co_return worker_->activity;
  }

  asio::awaitable<base::Result<void>> Drain(milliseconds) override {
    const std::scoped_lock lock(world_.mutex);
    worker_->drained = true;
    co_return base::Result<void>();
  }

  std::shared_ptr<grpc::Channel> channel() const override { return nullptr; }

 private:
  FakeWorld& world_;
  std::shared_ptr<FakeWorker> worker_;
  base::Secret token_;
};

std::shared_ptr<WorkerControl> FakeWorld::Connect(const launch::LaunchedWorker& launched,
                                                  const base::Secret& token) {
  return std::make_shared<FakeControl>(*this, Find("c-" + launched.worker_id), token);
}

class FleetTest : public ::testing::Test {
 protected:
  FleetTest() {
    Lines::Clear();
    telemetry::SetSinkForTest(&Lines::Collect);
    options_.idle_timeout = seconds(600);
    options_.start_timeout = seconds(10);
    options_.stop_grace = milliseconds(50);
    options_.heartbeat = milliseconds(20);
    options_.token_key = base::Secret("key");
  }

  ~FleetTest() override {
    world_.hold_launches = world_.hold_assigns = world_.hold_stops = world_.hide_exits = false;
    if (fleet_) {
      Shutdown();
      // Every coroutine has ended: nothing but the test holds the fleet.
      EXPECT_TRUE(Eventually([this] { return fleet_.use_count() == 1; }));
      EXPECT_THAT(world_.running, IsEmpty());
    }
    pool_.join();
    telemetry::SetSinkForTest(nullptr);
  }

  Fleet& Make() {
    fleet_ = Fleet::Create(pool_.get_executor(), options_, world_, world_, base::Clock::System());
    return *fleet_;
  }

  void Shutdown() { asio::co_spawn(pool_, fleet_->Shutdown(), asio::use_future).get(); }

  using Answer = std::future<base::Result<WorkerLease>>;
  Answer Ask(const std::string& user, milliseconds patience = seconds(20)) {
    auto promise = std::make_shared<std::promise<base::Result<WorkerLease>>>();
    auto answer = promise->get_future();
    // A second call of the callback would throw out of set_value and end the test.
    fleet_->Acquire(user, std::chrono::steady_clock::now() + patience,
                    [promise](base::Result<WorkerLease> result) { promise->set_value(std::move(result)); });
    return answer;
  }

  WorkerLease Lease(const std::string& user) {
    auto result = Ask(user).get();
    EXPECT_TRUE(result) << result.error().message << " " << result.error().detail;
    return result ? std::move(*result) : WorkerLease();
  }

  template <typename F>
  static bool Eventually(F condition, milliseconds patience = seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(2));
    }
    return true;
  }

  // A line is written after the change that it tells of.
  static bool Logged(const std::string& text) {
    return Eventually([&] { return Lines::All().contains(text); });
  }

  asio::thread_pool pool_{3};
  FakeWorld world_;
  FleetOptions options_;
  std::shared_ptr<Fleet> fleet_;
};

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
  fleet_->Acquire("alice", std::chrono::steady_clock::now(),
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
      fleet_->Acquire("alice", std::chrono::steady_clock::now() + seconds(20),
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

TEST_F(FleetTest, DeathIsNoticedExplainedAndTheNextCallGetsANewWorker) {
  Make();
  const auto lease = Lease("alice");
  EXPECT_THAT(lease.DeathReason(), IsEmpty());
  world_.Change(lease.worker().handle,
                [](FakeWorker& worker) { worker.exit = launch::WorkerExit{137, true}; });
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_THAT(lease.DeathReason(), HasSubstr("ran out of memory"));
  const auto next = Lease("alice");
  EXPECT_NE(next.worker().handle, lease.worker().handle);
  EXPECT_TRUE(Logged("reason=out_of_memory")) << Lines::All();
  EXPECT_TRUE(Eventually([&] {
    const std::scoped_lock lock(world_.mutex);
    return world_.workers[lease.worker().handle]->removed;
  }));
}

TEST_F(FleetTest, AnExitCodeIsNamed) {
  Make();
  const auto lease = Lease("alice");
  world_.Change(lease.worker().handle,
                [](FakeWorker& worker) { worker.exit = launch::WorkerExit{3, false}; });
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_THAT(lease.DeathReason(), HasSubstr("exit code 3"));
  EXPECT_TRUE(Logged("reason=exited")) << Lines::All();
}

TEST_F(FleetTest, ASilentWorkerIsReplacedAfterThreeHeartbeats) {
  Make();
  const auto lease = Lease("alice");
  world_.Change(lease.worker().handle, [](FakeWorker& worker) { worker.silent = true; });
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_THAT(lease.DeathReason(), HasSubstr("stopped answering"));
  EXPECT_NE(Lease("alice").worker().handle, lease.worker().handle);
  EXPECT_TRUE(Logged("reason=unhealthy")) << Lines::All();
}

TEST_F(FleetTest, AWorkerThatSaysItIsBeyondRepairIsReplaced) {
  Make();
  const auto lease = Lease("alice");
  world_.Change(lease.worker().handle, [](FakeWorker& worker) { worker.activity.healthy = false; });
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_NE(Lease("alice").worker().handle, lease.worker().handle);
}

TEST_F(FleetTest, ReportedTroubleFindsADeadWorkerBeforeTheHeartbeat) {
  options_.heartbeat = seconds(600);
  Make();
  auto lease = Lease("alice");
  world_.hide_exits = true;
  world_.Change(lease.worker().handle,
                [](FakeWorker& worker) { worker.exit = launch::WorkerExit{137, true}; });
  for (int i = 0; i < 10; ++i) lease.ReportTrouble();
  // The news of the exit comes a little after the connection has broken; the reason waits for it.
  std::this_thread::sleep_for(milliseconds(50));
  world_.hide_exits = false;
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_THAT(lease.DeathReason(), HasSubstr("ran out of memory"));
  EXPECT_NE(Lease("alice").worker().handle, lease.worker().handle);
}

TEST_F(FleetTest, ReportedTroubleLeavesALivingWorkerAlone) {
  options_.heartbeat = seconds(600);
  Make();
  auto lease = Lease("alice");
  for (int i = 0; i < 10; ++i) lease.ReportTrouble();
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_THAT(lease.DeathReason(), IsEmpty());
  EXPECT_EQ(Lease("alice").worker().handle, lease.worker().handle);
}

TEST_F(FleetTest, AnIdleWorkerIsStoppedAndABusyOneIsNot) {
  options_.idle_timeout = milliseconds(60);
  Make();
  const auto leased = Lease("leased");
  std::string transaction;
  std::string idle;
  {
    auto lease = Lease("transaction");
    transaction = lease.worker().handle;
    world_.Change(transaction, [](FakeWorker& worker) { worker.activity.open_transactions = 1; });
    idle = Lease("idle").worker().handle;
  }
  ASSERT_TRUE(Eventually([&] { return fleet_->Counts().total_stopped == 1; }));
  {
    const std::scoped_lock lock(world_.mutex);
    EXPECT_TRUE(world_.workers[idle]->drained);
    EXPECT_TRUE(world_.workers[idle]->removed);
  }
  EXPECT_TRUE(Logged("msg=\"Container stopped\" user_id=idle")) << Lines::All();
  EXPECT_TRUE(Logged("reason=idle_timeout")) << Lines::All();
  std::this_thread::sleep_for(milliseconds(150));
  EXPECT_EQ(fleet_->Counts().total_stopped, 1u);
  world_.Change(transaction, [](FakeWorker& worker) { worker.activity.open_transactions = 0; });
  EXPECT_TRUE(Eventually([&] { return fleet_->Counts().total_stopped == 2; }));
  EXPECT_THAT(leased.DeathReason(), IsEmpty());
}

TEST_F(FleetTest, WhoAsksDuringTheStopGetsANewWorker) {
  options_.idle_timeout = milliseconds(40);
  Make();
  world_.hold_stops = true;
  const std::string first = Lease("alice").worker().handle;
  ASSERT_TRUE(Eventually([&] { return fleet_->Counts().active == 0; }));
  auto answer = Ask("alice");
  EXPECT_EQ(answer.wait_for(milliseconds(50)), std::future_status::timeout)
      << "two workers of one user at once";
  world_.hold_stops = false;
  auto lease = answer.get();
  ASSERT_TRUE(lease);
  EXPECT_NE(lease->worker().handle, first);
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

TEST_F(FleetTest, ShutdownAnswersWaitersStopsWorkersAndRefusesNewOnes) {
  Make();
  const auto lease = Lease("alice");
  world_.hold_assigns = true;
  auto starting = Ask("bob");
  ASSERT_TRUE(Eventually([&] { return world_.assigns == 2; }));
  const auto begun = std::chrono::steady_clock::now();
  Shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
  auto bob = starting.get();
  ASSERT_FALSE(bob);
  EXPECT_EQ(bob.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(lease.DeathReason(), HasSubstr("shutting down"));
  EXPECT_THAT(world_.running, IsEmpty());
  auto late = Ask("carol").get();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(Logged("reason=shutdown")) << Lines::All();
}

}  // namespace
}  // namespace pondpilot::proxy::fleet
