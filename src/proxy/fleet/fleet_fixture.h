#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/fleet/fake_world.h"
#include "proxy/fleet/fleet.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::fleet {

// What was logged.
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

// A fleet over a FakeWorld.
class FleetTest : public ::testing::Test {
 protected:
  FleetTest() {
    Lines::Clear();
    telemetry::SetSinkForTest(&Lines::Collect);
    options_.idle_timeout = std::chrono::seconds(600);
    options_.start_timeout = std::chrono::seconds(10);
    options_.stop_grace = std::chrono::milliseconds(50);
    options_.heartbeat = std::chrono::milliseconds(20);
    options_.queue_timeout = std::chrono::milliseconds(0);
    options_.token_key = base::Secret("token key");
    options_.assignment_key = base::Secret("assignment key");
  }

  ~FleetTest() override {
    world_.hold_statuses = false;
    world_.hold_launches = world_.hold_ready = world_.hold_assigns = world_.hold_stops = world_.hide_exits =
        false;
    if (fleet_) {
      Shutdown();
      // Every coroutine has ended: nothing but the test holds the fleet.
      EXPECT_TRUE(Eventually([this] { return fleet_.use_count() == 1; }));
      EXPECT_TRUE(world_.running.empty());
    }
    pool_.join();
    telemetry::SetSinkForTest(nullptr);
  }

  // As the proxy makes it: with what is there already.
  Fleet& Make() {
    fleet_ = Fleet::Create(pool_.get_executor(), options_, world_, world_, base::Clock::System());
    boost::asio::co_spawn(
        pool_,
        [this]() -> boost::asio::awaitable<void> {
          auto found = co_await world_.Find();
          co_await fleet_->Begin(std::move(*found));
        },
        boost::asio::use_future)
        .get();
    return *fleet_;
  }

  void Shutdown() { boost::asio::co_spawn(pool_, fleet_->Shutdown(), boost::asio::use_future).get(); }

  using Answer = std::future<base::Result<WorkerLease>>;
  Answer Ask(const std::string& user, std::chrono::milliseconds patience = std::chrono::seconds(20),
             const std::string& profile = {}) {
    auto promise = std::make_shared<std::promise<base::Result<WorkerLease>>>();
    auto answer = promise->get_future();
    // A second call of the callback would throw out of set_value and end the test.
    fleet_->Acquire(user, profile, std::chrono::steady_clock::now() + patience,
                    [promise](base::Result<WorkerLease> result) { promise->set_value(std::move(result)); });
    return answer;
  }

  WorkerLease Lease(const std::string& user) {
    auto result = Ask(user).get();
    EXPECT_TRUE(result) << result.error().message << " " << result.error().detail;
    return result ? std::move(*result) : WorkerLease();
  }

  template <typename F>
  static bool Eventually(F condition, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }

  // A line is written after the change that it tells of.
  static bool Logged(const std::string& text) {
    return Eventually([&] { return Lines::All().contains(text); });
  }

  boost::asio::thread_pool pool_{3};
  FakeWorld world_;
  FleetOptions options_;
  std::shared_ptr<Fleet> fleet_;
};

}  // namespace pondpilot::proxy::fleet
