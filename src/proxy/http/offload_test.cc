#include "proxy/http/offload.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace pondpilot::proxy::http {
namespace {

namespace asio = boost::asio;

class OffloadTest : public ::testing::Test {
 protected:
  ~OffloadTest() override {
    work_.reset();
    loop_.join();
  }

  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  std::thread loop_{[this] { io_.run(); }};
  Offload offload_;
};

struct Threads {
  std::thread::id worked;
  std::thread::id went_on;
};

asio::awaitable<Threads> WhereItRuns(Offload& offload, size_t bytes) {
  const auto worked = co_await offload.Run(bytes, [] { return std::this_thread::get_id(); });
  co_return Threads{worked.value(), std::this_thread::get_id()};
}

TEST_F(OffloadTest, LargeWorkIsDoneElsewhereAndGoesOnWhereItBegan) {
  const Threads small =
      asio::co_spawn(io_, WhereItRuns(offload_, Offload::kSmallBytes), asio::use_future).get();
  EXPECT_EQ(small.worked, loop_.get_id());
  EXPECT_EQ(offload_.taken(), 0u);
  const Threads large =
      asio::co_spawn(io_, WhereItRuns(offload_, Offload::kSmallBytes + 1), asio::use_future).get();
  EXPECT_NE(large.worked, loop_.get_id());
  EXPECT_EQ(large.went_on, loop_.get_id());
  EXPECT_EQ(offload_.taken(), 1u);
}

TEST_F(OffloadTest, WhatIsThrownArrives) {
  const auto fails = [this]() -> asio::awaitable<int> {
    const auto done = co_await offload_.Run(1 << 20, []() -> int { throw std::runtime_error("broke"); });
    co_return done.value();
  };
  EXPECT_THROW(asio::co_spawn(io_, fails(), asio::use_future).get(), std::runtime_error);
}

TEST_F(OffloadTest, TheQueueIsBoundedAndTheLoopGoesOn) {
  std::latch go(1);
  const auto one = [&]() -> asio::awaitable<base::Result<int>> {
    auto done = co_await offload_.Run(1 << 20, [&go] {
      go.wait();
      return 7;
    });
    co_return done;
  };
  std::vector<std::future<base::Result<int>>> waiting;
  for (size_t i = 0; i < Offload::kMostTasks; ++i) {
    waiting.push_back(asio::co_spawn(io_, one(), asio::use_future));
  }
  // The loop is free: it answers this one, which finds the queue full.
  const auto refused = asio::co_spawn(io_, one(), asio::use_future).get();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, base::ErrorCode::kUnavailable);
  EXPECT_TRUE(refused.error().retry_after.has_value());
  go.count_down();
  for (auto& done : waiting) EXPECT_EQ(done.get().value(), 7);
  EXPECT_EQ(asio::co_spawn(io_, one(), asio::use_future).get().value(), 7) << "there is room again";
}

}  // namespace
}  // namespace pondpilot::proxy::http
