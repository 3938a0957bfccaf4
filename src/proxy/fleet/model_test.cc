// The fleet against a model of what it promises, over random schedules in virtual time: nothing here waits.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "proxy/fleet/fake_world.h"
#include "proxy/fleet/fleet.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::fleet {
namespace {

using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kUsers = 9;
constexpr uint32_t kCap = 5;
// Sanitizers make each step many times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kSteps = 10'000;
#else
constexpr int kSteps = 100'000;
#endif

uint64_t Seed() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no threads here
  if (const char* given = std::getenv("PONDPILOT_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

// One call of a user as the model sees it.
struct Call {
  std::string user;
  base::Clock::Steady deadline;
  uint64_t ticket = 0;
  bool answered = false;
  WorkerLease lease;
};

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {
    TimerClock::clock = &clock_;
    telemetry::SetSinkForTest([](const std::string&) {});
    options_.idle_timeout = seconds(30);
    options_.session_timeout = seconds(60);
    options_.start_timeout = seconds(20);
    options_.queue_timeout = seconds(5);
    options_.stop_grace = seconds(2);
    options_.heartbeat = seconds(5);
    options_.max_workers = kCap;
    options_.warm_workers = 2;
    options_.max_calls_per_user = 4;
    options_.max_waiters = 12;
    options_.profiles = {{"large", {}}};
    options_.token_key = base::Secret("token key");
    options_.assignment_key = base::Secret("assignment key");
    fleet_ = Fleet::Create(context_.get_executor(), options_, world_, world_, clock_);
    bool begun = false;
    boost::asio::co_spawn(context_, fleet_->Begin({}), [&](const std::exception_ptr&) { begun = true; });
    Settle();
    EXPECT_TRUE(begun);
  }

  ~Model() {
    calls_.clear();
    fleet_.reset();
    context_.restart();
    context_.poll();
    TimerClock::clock = nullptr;
    telemetry::SetSinkForTest(nullptr);
  }

  void Step() {
    switch (Below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return Ask();
      case 5:
      case 6:
      case 7:
        return Release();
      case 8:
        return Withdraw();
      case 9:
        return WithWorker([this](FakeWorker& worker) {
          if (!worker.exit) worker.exit = launch::WorkerExit{137, Below(2) == 0};
        });
      case 10:
        if (Below(4) == 0) WithWorker([](FakeWorker& worker) { worker.silent = true; });
        return;
      case 11:
        return WithWorker([this](FakeWorker& worker) {
          worker.activity.open_transactions = Below(3) == 0;
          worker.activity.kept_objects = Below(3) == 0;
        });
      case 12:
        if (Below(6) == 0) world_.fail_launches = !world_.fail_launches;
        return;
      case 13:
        if (Below(3) == 0) world_.hold_launches = !world_.hold_launches;
        return;
      case 14:
        if (Below(3) == 0) world_.hold_stops = !world_.hold_stops;
        return;
      case 15:
        if (Below(3) == 0) world_.hold_assigns = !world_.hold_assigns;
        return;
      case 16:
        return Report();
      case 17:
        return Stop();
      default:
        Advance(milliseconds(1 + Below(Below(10) == 0 ? 20'000 : 300)));
    }
  }

  // What must hold at every moment.
  void Check() {
    std::map<std::string, int> workers_of;
    size_t alive = 0;
    for (const auto& [handle, worker] : world_.workers) {
      if (worker->removed || worker->exit) continue;
      ++alive;
      if (!worker->activity.user_id.empty()) ++workers_of[worker->activity.user_id];
    }
    ASSERT_LE(alive, kCap) << "over the cap";
    for (const auto& [user, count] : workers_of) ASSERT_EQ(count, 1) << "workers of " << user;
    for (const auto& call : calls_) {
      ASSERT_TRUE(call->answered || call->deadline >= clock_.Now()) << call->user << " was not answered";
      ASSERT_TRUE(!call->lease || call->lease.worker().user_id == call->user);
    }
    std::erase_if(calls_, [](const auto& call) { return call->answered && !call->lease; });
    // Those that are long gone only make this slow.
    std::erase_if(world_.workers, [](const auto& entry) {
      return entry.second->removed && entry.second->exit && entry.second.use_count() == 1;
    });
  }

  // Every worker ends, every call is answered, and nothing goes on.
  void End() {
    world_.hold_launches = world_.hold_stops = world_.hold_assigns = false;
    bool ended = false;
    boost::asio::co_spawn(context_, fleet_->Shutdown(), [&](const std::exception_ptr&) { ended = true; });
    for (int i = 0; i < 3000 && !ended; ++i) Advance(milliseconds(20));
    ASSERT_TRUE(ended);
    for (const auto& call : calls_) ASSERT_TRUE(call->answered) << call->user;
    for (const auto& [handle, worker] : world_.workers) ASSERT_TRUE(worker->removed) << handle;
    ASSERT_EQ(fleet_->Counts().active, 0u);
    ASSERT_EQ(fleet_->Counts().queued, 0u);
  }

  int granted() const { return granted_; }
  const std::map<ErrorCode, int>& refused() const { return refused_; }

 private:
  uint32_t Below(uint32_t bound) { return std::uniform_int_distribution<uint32_t>(0, bound - 1)(random_); }

  void Settle() {
    context_.restart();
    while (context_.poll() > 0) context_.restart();
  }

  // In steps that no timer of the fakes is longer than.
  void Advance(milliseconds by) {
    while (by.count() > 0) {
      const milliseconds step = std::min(by, milliseconds(20));
      clock_.Advance(step);
      by -= step;
      Settle();
    }
  }

  void Ask() {
    const auto call = std::make_shared<Call>();
    call->user = "user" + std::to_string(Below(kUsers));
    call->deadline = clock_.Now() + milliseconds(1 + Below(40'000));
    calls_.push_back(call);
    const std::string profile = Below(5) == 0 ? "large" : "";
    call->ticket =
        fleet_->Acquire(call->user, profile, call->deadline, [this, call](base::Result<WorkerLease> result) {
          ASSERT_FALSE(call->answered) << "answered twice";
          call->answered = true;
          if (result) {
            ++granted_;
            call->lease = std::move(*result);
          } else {
            ++refused_[result.error().code];
          }
        });
    Settle();
  }

  std::shared_ptr<Call> Any(bool with_lease) {
    std::vector<std::shared_ptr<Call>> fit;
    for (const auto& call : calls_) {
      if (with_lease ? static_cast<bool>(call->lease) : !call->answered) fit.push_back(call);
    }
    return fit.empty() ? nullptr : fit[Below(static_cast<uint32_t>(fit.size()))];
  }

  void Release() {
    if (const auto call = Any(true)) call->lease = WorkerLease();
    Settle();
  }

  void Withdraw() {
    const auto call = Any(false);
    if (!call) return;
    fleet_->Withdraw(call->user, call->ticket);
    ASSERT_TRUE(call->answered);
    Settle();
  }

  void Report() {
    if (const auto call = Any(true)) call->lease.ReportTrouble();
    Settle();
  }

  void Stop() {
    if (Below(5) != 0) return;
    for (const WorkerView& view : fleet_->Workers()) {
      if (view.state == WorkerState::kReady) {
        fleet_->StopWorker(view.worker_id);
        break;
      }
    }
    Settle();
  }

  template <typename F>
  void WithWorker(F change) {
    std::vector<std::shared_ptr<FakeWorker>> alive;
    for (const auto& [handle, worker] : world_.workers) {
      if (!worker->removed) alive.push_back(worker);
    }
    // Their ids are random; what a seed does must not be.
    std::ranges::sort(alive, {}, &FakeWorker::number);
    if (!alive.empty()) change(*alive[Below(static_cast<uint32_t>(alive.size()))]);
    Settle();
  }

  std::mt19937_64 random_;
  base::ManualClock clock_;
  boost::asio::io_context context_;
  FakeWorld world_;
  FleetOptions options_;
  std::shared_ptr<Fleet> fleet_;
  std::vector<std::shared_ptr<Call>> calls_;
  int granted_ = 0;
  std::map<ErrorCode, int> refused_;
};

TEST(FleetModelTest, HoldsItsPromisesOverRandomSchedules) {
  const uint64_t seed = Seed();
  SCOPED_TRACE("PONDPILOT_SEED=" + std::to_string(seed));
  std::cout << "PONDPILOT_SEED=" << seed << "\n";
  Model model(seed);
  for (int step = 0; step < kSteps; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    model.Step();
    model.Check();
    if (::testing::Test::HasFatalFailure()) return;
  }
  model.End();
  // The schedule has been where it matters.
  EXPECT_GT(model.granted(), kSteps / 50);
  for (const ErrorCode code : {ErrorCode::kUnavailable, ErrorCode::kResourceExhausted,
                               ErrorCode::kDeadlineExceeded, ErrorCode::kCancelled}) {
    EXPECT_TRUE(model.refused().contains(code)) << base::ToString(code);
  }
}

}  // namespace
}  // namespace pondpilot::proxy::fleet
