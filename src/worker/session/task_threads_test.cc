#include "worker/session/task_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <set>
#include <vector>

#include "worker/session/eventually.h"

namespace pondpilot::worker::session {
namespace {

TEST(TaskThreads, AThreadIsUsedAgain) {
  TaskThreads threads;
  std::mutex mutex;
  std::set<std::thread::id> seen;
  for (size_t i = 1; i <= 20; ++i) {
    std::atomic<bool> done{false};
    ASSERT_TRUE(threads.Run([&] {
      const std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
      done = true;
    }));
    ASSERT_TRUE(Eventually([&] { return done.load(); }));
  }
  // The next task can come before the thread has said that it is free.
  EXPECT_LT(seen.size(), 20u);
}

TEST(TaskThreads, AreBoundedAndTasksOverlap) {
  std::counting_semaphore<> go(0);
  std::atomic<size_t> running{0};
  std::atomic<size_t> ended{0};
  {
    TaskThreads threads;
    const auto wait = [&] {
      ++running;
      go.acquire();
      ++ended;
    };
    for (size_t i = 0; i < TaskThreads::kMaxThreads; ++i) ASSERT_TRUE(threads.Run(wait)) << i;
    ASSERT_TRUE(Eventually([&] { return running == TaskThreads::kMaxThreads; }));
    EXPECT_FALSE(threads.Run(wait));
    go.release();
    ASSERT_TRUE(Eventually([&] { return ended == 1; }));
    EXPECT_TRUE(Eventually([&] { return threads.Run(wait); })) << "one is free again";
    go.release(TaskThreads::kMaxThreads);
  }
  EXPECT_EQ(ended, TaskThreads::kMaxThreads + 1) << "the end waits for all";
}

}  // namespace
}  // namespace pondpilot::worker::session
