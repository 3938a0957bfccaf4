#include "worker/engine/memory_plan.h"

#include <algorithm>
#include <cmath>

namespace pondpilot::worker::engine {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// What the kernel counts for the container besides this process's data: code, the pages of libraries that
// were written when they were loaded (some 15 MiB), page tables, socket buffers, the pages of /tmp.
constexpr uint64_t kOutsideData = 48 * kMiB;

// What the process needs besides DuckDB's counted memory: the engine and the scanners at rest, gRPC, stacks
// (deep_stack.h; some 45 MiB that count as data, of which little is touched), the result batches on their way
// out, and what the allocator loses to fragmentation (at two threads a spilling sort was seen 140 MiB above
// DuckDB's own count). gRPC ends the process when its own allocation fails, so this is generous.
constexpr uint64_t kBesidesDuckDb = 208 * kMiB;

// Spilling to disk is bounded, so that one user can't fill the host's disk.
constexpr uint64_t kSpillFactor = 8;

}  // namespace

MemoryPlan PlanMemory(const Limits& limits) {
  MemoryPlan plan;
  const uint64_t total = std::max(limits.memory_bytes, 64 * kMiB);
  plan.data_bytes = total - std::min(kOutsideData, total / 8);
  plan.duckdb_bytes = plan.data_bytes - std::min(kBesidesDuckDb, plan.data_bytes * 3 / 5);
  plan.spill_bytes = total * kSpillFactor;
  // More threads than cores gain nothing; a second thread costs tiny queries 100 µs.
  plan.threads = static_cast<uint32_t>(std::clamp(std::ceil(limits.cpu_cores), 1.0, 256.0));
  // Twice as many can wait for files at the same time; DuckDB's own eight are for whole machines, and each
  // takes the address space of a stack.
  plan.async_threads = std::clamp<uint32_t>(2 * plan.threads, 2, 8);
  return plan;
}

}  // namespace pondpilot::worker::engine
