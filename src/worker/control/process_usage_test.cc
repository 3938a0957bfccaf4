#include "worker/control/process_usage.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <thread>
#include <vector>

namespace pondpilot::worker::control {
namespace {

TEST(ProcessUsage, SeesMemoryComeAndGo) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator keeps what has been freed";
#endif
  constexpr uint64_t kBlock = 64 << 20;
  const ProcessUsage before = ReadProcessUsage();
  ASSERT_GT(before.resident_bytes, 0u);
  EXPECT_GE(before.peak_resident_bytes, before.resident_bytes);
  {
    std::vector<char> block(kBlock, 1);
    asm volatile("" : : "r"(block.data()) : "memory");  // else the compiler leaves it out
    EXPECT_GE(ReadProcessUsage().resident_bytes, before.resident_bytes + kBlock / 2);
  }
  const ProcessUsage after = ReadProcessUsage();
  EXPECT_LT(after.resident_bytes, before.resident_bytes + kBlock / 2);
  EXPECT_GE(after.peak_resident_bytes, before.resident_bytes + kBlock / 2);
}

TEST(ProcessUsage, CountsTheTimeOfThreadsThatHaveEnded) {
  const uint64_t before = ReadProcessUsage().cpu_ms;
  std::thread worker([] {
    rusage times{};
    do {
      ASSERT_EQ(::getrusage(RUSAGE_THREAD, &times), 0);
    } while (times.ru_utime.tv_sec * 1000 + times.ru_utime.tv_usec / 1000 + times.ru_stime.tv_sec * 1000 +
                 times.ru_stime.tv_usec / 1000 <
             200);
  });
  worker.join();
  EXPECT_GE(ReadProcessUsage().cpu_ms, before + 195);
}

}  // namespace
}  // namespace pondpilot::worker::control
