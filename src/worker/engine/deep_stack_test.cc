#include "worker/engine/deep_stack.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/temporary_folder.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// Uses `bytes` of stack below its caller, and gives a sum that depends on all of them.
[[gnu::noinline]] size_t Descend(size_t bytes) {
  volatile char frame[4096];
  for (volatile char& byte : frame) byte = 1;
  if (bytes <= sizeof frame) return 1;
  return Descend(bytes - sizeof frame) + static_cast<size_t>(frame[bytes % sizeof frame]);
}

size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t size = 0;
  size_t resident = 0;
  statm >> size >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(DeepStackTest, HasRoomThatTheThreadHasNot) {
  if (kSanitized) GTEST_SKIP() << "under a sanitizer calls stay on their thread's stack";
  pthread_attr_t attributes;
  ASSERT_EQ(::pthread_attr_init(&attributes), 0);
  ASSERT_EQ(::pthread_attr_setstacksize(&attributes, kThreadStackBytes), 0);
  const auto descend = [](void* levels) -> void* {
    EXPECT_TRUE(OnDeepStack([&] { *static_cast<size_t*>(levels) = Descend(kDeepStackBytes * 7 / 8); }));
    return nullptr;
  };
  size_t levels = 0;
  pthread_t small{};
  ASSERT_EQ(::pthread_create(&small, &attributes, descend, &levels), 0);
  ASSERT_EQ(::pthread_join(small, nullptr), 0);
  EXPECT_EQ(levels, kDeepStackBytes * 7 / 8 / 4096);
  (void)::pthread_attr_destroy(&attributes);
}

TEST(DeepStackTest, ThrowsWhatWasThrown) {
  EXPECT_THROW(OnDeepStack([] { throw std::out_of_range("here"); }), std::out_of_range);
  // And nothing is wrong afterwards.
  bool ran = false;
  EXPECT_TRUE(OnDeepStack([&] { ran = true; }));
  EXPECT_TRUE(ran);
}

TEST(DeepStackTest, MayBeUsedFromWithinItself) {
  int outer = 0;
  int inner = 0;
  EXPECT_TRUE(OnDeepStack([&] {
    outer = 1;
    EXPECT_TRUE(OnDeepStack([&] { inner = 1; }));
    EXPECT_TRUE(OnDeepStack([&] { inner += 1; }));
  }));
  EXPECT_EQ(outer + inner, 3);
}

TEST(DeepStackTest, StaysOnItsThread) {
  const auto id = std::this_thread::get_id();
  EXPECT_TRUE(OnDeepStack([&] { EXPECT_EQ(std::this_thread::get_id(), id); }));
}

TEST(DeepStackTest, ManyThreadsAtOnce) {
  std::atomic<size_t> levels{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        OnDeepStack([&] { levels += Descend(64 << 10); });
      }
    });
  }
  threads.clear();
  EXPECT_EQ(levels.load(), 16u * 50 * 16);
}

TEST(DeepStackTest, GivesBackWhatADeepCallHasTouched) {
  if (kSanitized) GTEST_SKIP() << "under a sanitizer calls stay on their thread's stack";
  OnDeepStack([] { Descend(64 << 10); });
  const size_t before = ResidentBytes();
  size_t inside = 0;
  OnDeepStack([&] {
    Descend(kDeepStackBytes * 3 / 4);
    inside = ResidentBytes();
  });
  EXPECT_GT(inside, before + kDeepStackBytes / 2);
  EXPECT_LT(ResidentBytes(), before + kDeepStackBytes / 4);
}

TEST(DeepStackDeathTest, SaysWhenThereIsNoMemoryForOne) {
  if (kSanitized) GTEST_SKIP() << "under a sanitizer calls stay on their thread's stack";
  const auto in_a_small_process = [] {
    const rlimit nothing_more{1 << 20, 1 << 20};
    if (::setrlimit(RLIMIT_DATA, &nothing_more) != 0) ::_exit(2);
    bool called = false;
    const bool ran = OnDeepStack([&] { called = true; });
    ::_exit(!ran && !called ? 0 : 1);
  };
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(in_a_small_process(), ::testing::ExitedWithCode(0), "");
}

// Others hold all the stacks there are, and there is no memory for more.
TEST(DeepStackDeathTest, ATransactionEndsAlsoWithoutOne) {
  if (kSanitized) GTEST_SKIP() << "under a sanitizer calls stay on their thread's stack";
  const auto in_a_small_process = [] {
    const base::TemporaryFolder spill;
    auto engine = Engine::Open({512ull << 20, 1, spill.path()});
    if (!engine || !(*engine)->AttachAndLockDown({}, {})) ::_exit(2);
    auto connection = (*engine)->Connect();
    if (!connection || !(*connection)->Begin() || !(*connection)->Execute("CREATE TABLE t (a INT)"))
      ::_exit(3);
    std::latch taken(kKeptDeepStacks + 1);
    std::latch done(1);
    std::vector<std::jthread> others;
    for (size_t i = 0; i < kKeptDeepStacks; ++i) {
      others.emplace_back([&] {
        OnDeepStack([&] {
          taken.arrive_and_wait();
          done.wait();
        });
      });
    }
    taken.arrive_and_wait();
    const rlimit nothing_more{1 << 20, 1 << 20};
    if (::setrlimit(RLIMIT_DATA, &nothing_more) != 0) ::_exit(4);
    const auto refused = (*connection)->Execute("SELECT 42");
    const bool told = !refused && refused.error().code == base::ErrorCode::kResourceExhausted;
    const auto ended = (*connection)->End(false);
    const bool out = !(*connection)->InTransaction();
    ::_exit(told && ended && out ? 0 : 5);
  };
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(in_a_small_process(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace pondpilot::worker::engine
