#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/secret.h"
#include "proxy/fleet/timer.h"
#include "proxy/fleet/worker_control.h"
#include "proxy/launch/launcher.h"

// For tests: a launcher, and the workers it launches, in memory.
namespace pondpilot::proxy::fleet {

// What the fakes share: the state of one worker as its container and its process have it.
struct FakeWorker {
  int number = 0;  // in the order of their launches
  launch::WorkerSpec spec;
  std::optional<launch::WorkerExit> exit;
  WorkerActivity activity{.attachments = {{"shop", true, ""}}};
  bool silent = false;  // the container runs, nothing answers
  bool drained = false;
  bool removed = false;
};

class FakeWorld : public launch::Launcher, public WorkerControlFactory {
 public:
  boost::asio::awaitable<base::Result<void>> Prepare() override { co_return base::Result<void>(); }
  boost::asio::awaitable<base::Result<std::vector<launch::FoundWorker>>> Find() override {
    const std::scoped_lock lock(mutex);
    std::vector<launch::FoundWorker> found;
    for (const auto& [handle, worker] : workers) {
      if (worker->removed) continue;
      const std::string& user = worker->spec.user_id;
      found.push_back({{worker->spec.worker_id, handle, "fake:" + worker->spec.worker_id},
                       user.empty() ? "" : launch::UserDigest(user),
                       !worker->exit});
    }
    co_return found;
  }
  boost::asio::awaitable<base::Result<void>> Check() override { co_return base::Result<void>(); }

  boost::asio::awaitable<base::Result<launch::LaunchedWorker>> Launch(launch::WorkerSpec spec) override {
    ++launches;
    co_await WaitUntil([this] { return !hold_launches.load(); });
    // As an engine that makes it after the connection has broken.
    if (lose_launches) {
      const std::scoped_lock lock(mutex);
      auto worker = std::make_shared<FakeWorker>();
      worker->spec = spec;
      workers[PossibleHandle(spec.worker_id)] = worker;
      running.insert(PossibleHandle(spec.worker_id));
      co_return base::Fail(lost_as, "the engine has not said what became of it");
    }
    if (fail_launches)
      co_return base::Fail(base::ErrorCode::kUnavailable, "no such image", "secret-free detail");
    const std::scoped_lock lock(mutex);
    auto worker = std::make_shared<FakeWorker>();
    worker->number = static_cast<int>(workers_launched++);
    worker->spec = spec;
    worker->exit = exit_at_start;
    workers["c-" + spec.worker_id] = worker;
    running.insert("c-" + spec.worker_id);
    most_running = std::max(most_running, running.size());
    co_return launch::LaunchedWorker{spec.worker_id, "c-" + spec.worker_id, "fake:" + spec.worker_id};
  }

  std::string PossibleHandle(const std::string& worker_id) const override { return "c-" + worker_id; }

  boost::asio::awaitable<base::Result<void>> Stop(std::string handle, std::chrono::milliseconds) override {
    co_await WaitUntil([this] { return !hold_stops.load(); });
    ++stops;
    if (fail_stops) co_return base::Fail(base::ErrorCode::kUnavailable, "the backend is away");
    const std::scoped_lock lock(mutex);
    if (!workers.contains(handle)) co_return base::Result<void>();
    running.erase(handle);
    workers[handle]->removed = true;
    if (!workers[handle]->exit) workers[handle]->exit = launch::WorkerExit{143, false};
    co_return base::Result<void>();
  }

  boost::asio::awaitable<base::Result<launch::WorkerExit>> WaitForExit(std::string handle) override {
    const auto worker = Find(handle);
    co_await WaitUntil([this, worker] {
      const std::scoped_lock lock(mutex);
      return worker->exit.has_value() && !hide_exits;
    });
    const std::scoped_lock lock(mutex);
    running.erase(handle);
    co_return *worker->exit;
  }

  base::Secret Terms() const override { return base::Secret(terms); }
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
  static boost::asio::awaitable<void> WaitUntil(F condition) {
    Timer timer(co_await boost::asio::this_coro::executor);
    while (!condition()) {
      timer.expires_after(std::chrono::milliseconds(2));
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
  }

  std::atomic<int> launches = 0;
  std::atomic<int> stops = 0;
  std::atomic<int> assigns = 0;
  std::atomic<bool> hold_launches = false;
  std::atomic<bool> hold_stops = false;
  std::atomic<bool> hold_ready = false;
  std::atomic<bool> hold_statuses = false;
  std::atomic<bool> hold_assigns = false;
  std::atomic<bool> fail_launches = false;
  std::atomic<bool> fail_stops = false;
  std::atomic<bool> lose_launches = false;
  std::atomic<base::ErrorCode> lost_as = base::ErrorCode::kUnavailable;
  std::atomic<bool> hide_exits = false;
  std::mutex mutex;
  std::optional<launch::WorkerExit> exit_at_start;
  std::optional<launch::WorkerExit> exit_after_ready;
  std::map<std::string, std::shared_ptr<FakeWorker>> workers;
  std::set<std::string> running;
  size_t most_running = 0;
  size_t workers_launched = 0;
  std::string terms = "databases";
};

class FakeControl final : public WorkerControl {
 public:
  FakeControl(FakeWorld& world, std::shared_ptr<FakeWorker> worker, base::Secret token)
      : world_(world), worker_(std::move(worker)), token_(std::move(token)) {}

  boost::asio::awaitable<base::Result<void>> AwaitReady(std::chrono::milliseconds timeout) override {
    EXPECT_EQ(base::Sha256Hex(token_.Reveal()), worker_->spec.token_sha256);
    const auto end = TimerClock::now() + timeout;
    co_await FakeWorld::WaitUntil([&] { return !world_.hold_ready || TimerClock::now() > end; });
    if (world_.hold_ready) co_return base::Fail(base::ErrorCode::kDeadlineExceeded, "no answer");
    const std::scoped_lock lock(world_.mutex);
    if (world_.exit_after_ready) worker_->exit = world_.exit_after_ready;
    co_return base::Result<void>();
  }

  boost::asio::awaitable<base::Result<std::vector<AttachmentState>>> Assign(
      Assignment assignment, std::chrono::milliseconds timeout) override {
    ++world_.assigns;
    const auto end = TimerClock::now() + timeout;
    co_await FakeWorld::WaitUntil([&] { return !world_.hold_assigns || TimerClock::now() > end; });
    if (world_.hold_assigns) co_return base::Fail(base::ErrorCode::kDeadlineExceeded, "no answer");
    const std::scoped_lock lock(world_.mutex);
    EXPECT_EQ(worker_->activity.user_id, "") << "a worker given to a second user";
    worker_->activity.user_id = assignment.user_id;
    worker_->activity.assignment = assignment.proof;
    co_return std::vector<AttachmentState>{{"shop", true, ""}};
  }

  boost::asio::awaitable<base::Result<WorkerActivity>> Status(std::chrono::milliseconds) override {
    co_await FakeWorld::WaitUntil([&] { return !world_.hold_statuses.load(); });
    const std::scoped_lock lock(world_.mutex);
    if (worker_->exit || worker_->silent)
      co_return base::Fail(base::ErrorCode::kUnavailable, "connection refused");
    co_return worker_->activity;
  }

  boost::asio::awaitable<base::Result<void>> Drain(std::chrono::milliseconds) override {
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

inline std::shared_ptr<WorkerControl> FakeWorld::Connect(const launch::LaunchedWorker& launched,
                                                         const base::Secret& token) {
  return std::make_shared<FakeControl>(*this, Find("c-" + launched.worker_id), token);
}

}  // namespace pondpilot::proxy::fleet
