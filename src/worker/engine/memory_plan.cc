#include "worker/engine/memory_plan.h"

#include <algorithm>
#include <cmath>

namespace pondpilot::worker::engine {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// What the kernel counts for the container besides this process's data: code, page cache that can't be
// dropped at once, socket buffers, the pages of /tmp.
constexpr uint64_t kOutsideData = 32 * kMiB;

// What the process needs besides DuckDB's counted memory: the engine and the scanners at rest, gRPC, thread
// stacks, the result batches on their way out, and what the allocator loses to fragmentation (at two threads
// a spilling sort was seen 140 MiB above DuckDB's own count). gRPC ends the process when its own allocation
// fails, so this is generous.
constexpr uint64_t kBesidesDuckDb = 288 * kMiB;

// The address space of threads' stacks is counted as data (8 MiB each, for some twenty threads), but a thread
// uses a few pages of its own. Some of it is given back here, for the stacks that are kept ready so that
// calls find a thread while a statement takes all that is left.
constexpr uint64_t kStacksInReserve = 31 * kMiB;

// Spilling to disk is bounded, so that one user can't fill the host's disk.
constexpr uint64_t kSpillFactor = 8;

}  // namespace

MemoryPlan PlanMemory(const Limits& limits) {
  MemoryPlan plan;
  const uint64_t total = std::max(limits.memory_bytes, 64 * kMiB);
  const uint64_t resident = total - std::min(kOutsideData, total / 8);
  plan.data_bytes = resident + std::min(kStacksInReserve, total / 16);
  plan.duckdb_bytes = resident - std::min(kBesidesDuckDb, resident * 3 / 5);
  plan.spill_bytes = total * kSpillFactor;
  // More threads than cores gain nothing; a second thread costs tiny queries 100 µs.
  plan.threads = static_cast<uint32_t>(std::clamp(std::ceil(limits.cpu_cores), 1.0, 256.0));
  return plan;
}

}  // namespace pondpilot::worker::engine
