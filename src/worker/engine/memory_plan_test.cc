#include "worker/engine/memory_plan.h"

#include <gtest/gtest.h>

namespace pondpilot::worker::engine {
namespace {

constexpr uint64_t kMiB = 1 << 20;

TEST(MemoryPlanTest, LimitsLieInsideEachOther) {
  for (const uint64_t total : {64 * kMiB, 128 * kMiB, 256 * kMiB, 512 * kMiB, 4096 * kMiB, 65536 * kMiB}) {
    const MemoryPlan plan = PlanMemory({total, 1, "/spill"});
    EXPECT_GT(plan.duckdb_bytes, 0u) << total;
    EXPECT_LT(plan.duckdb_bytes, plan.data_bytes) << total;
    EXPECT_LT(plan.data_bytes, total) << total;
  }
}

TEST(MemoryPlanTest, TheDefaultWorker) {
  const MemoryPlan plan = PlanMemory({512 * kMiB, 0.5, "/spill"});
  EXPECT_EQ(plan.data_bytes, 464 * kMiB);
  EXPECT_EQ(plan.duckdb_bytes, 256 * kMiB);
  EXPECT_EQ(plan.threads, 1u);
  EXPECT_EQ(plan.async_threads, 2u);
}

TEST(MemoryPlanTest, ThreadsFollowCores) {
  EXPECT_EQ(PlanMemory({512 * kMiB, 1.5, ""}).threads, 2u);
  EXPECT_EQ(PlanMemory({512 * kMiB, 4, ""}).threads, 4u);
  EXPECT_EQ(PlanMemory({512 * kMiB, 0, ""}).threads, 1u);
}

}  // namespace
}  // namespace pondpilot::worker::engine
