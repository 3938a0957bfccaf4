#include "worker/flight/quiet_event_engine.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

namespace pondpilot::worker::flight {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

bool Comes(std::promise<void>& promise) {
  return promise.get_future().wait_for(seconds(20)) == std::future_status::ready;
}

TEST(QuietEventEngine, RunsElsewhereWhatIsDueInOrder) {
  QuietEventEngine engine;
  std::vector<std::string> order;  // on the engine's thread
  std::promise<void> done;
  bool on_its_thread = false;
  engine.RunAfter(milliseconds(40), [&] {
    order.emplace_back("late");
    done.set_value();
  });
  engine.RunAfter(milliseconds(10), [&] { order.emplace_back("early"); });
  engine.Run([&] {
    order.emplace_back("now");
    on_its_thread = engine.IsWorkerThread();
  });
  ASSERT_TRUE(Comes(done));
  EXPECT_EQ(order, (std::vector<std::string>{"now", "early", "late"}));
  EXPECT_TRUE(on_its_thread);
  EXPECT_FALSE(engine.IsWorkerThread());
}

TEST(QuietEventEngine, WhatIsCancelledDoesNotRunAndIsLetGo) {
  QuietEventEngine engine;
  auto held = std::make_shared<int>(1);
  const auto task = engine.RunAfter(hours(1), [held] { ADD_FAILURE(); });
  EXPECT_EQ(held.use_count(), 2);
  EXPECT_TRUE(engine.Cancel(task));
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(engine.Cancel(task));
}

TEST(QuietEventEngine, WhatRunsMayAskForMore) {
  QuietEventEngine engine;
  std::promise<void> done;
  engine.Run([&] { engine.RunAfter(milliseconds(1), [&] { done.set_value(); }); });
  EXPECT_TRUE(Comes(done));
}

TEST(QuietEventEngine, AnEarlierTaskDoesNotWaitForALaterOne) {
  QuietEventEngine engine;
  engine.RunAfter(hours(1), [] { ADD_FAILURE(); });
  // The thread waits for that one by the time of most of these.
  for (int i = 0; i < 100; ++i) {
    std::promise<void> done;
    engine.RunAfter(milliseconds(1), [&] { done.set_value(); });
    ASSERT_TRUE(Comes(done)) << i;
  }
}

TEST(QuietEventEngine, WakesForTheOnlyTask) {
  QuietEventEngine engine;
  for (int i = 0; i < 100; ++i) {
    std::promise<void> done;
    engine.Run([&] { done.set_value(); });
    ASSERT_TRUE(Comes(done)) << i;
  }
}

TEST(QuietEventEngine, TimesBeyondTheClockNeverCome) {
  QuietEventEngine engine;
  const auto task = engine.RunAfter(QuietEventEngine::Duration::max(), [] { ADD_FAILURE(); });
  std::promise<void> done;
  engine.RunAfter(QuietEventEngine::Duration::min(), [&] { done.set_value(); });
  EXPECT_TRUE(Comes(done));
  EXPECT_TRUE(engine.Cancel(task));
}

TEST(QuietEventEngine, EndsWithWhatHasNotRun) {
  auto held = std::make_shared<int>(1);
  {
    QuietEventEngine engine;
    engine.RunAfter(hours(1), [held] { ADD_FAILURE(); });
  }
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace pondpilot::worker::flight
