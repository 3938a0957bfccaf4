#pragma once

#include <cstdint>

#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {

// Three limits, one inside the other. DuckDB counts its buffers, sorts and hash tables, not the strings and
// lists that functions build; the limit on the process's data segment stops those with an error; the
// container's limit, at which the kernel kills, must never be reached.
struct MemoryPlan {
  uint64_t duckdb_bytes = 0;  // DuckDB's memory_limit
  uint64_t data_bytes = 0;    // RLIMIT_DATA
  uint64_t spill_bytes = 0;   // max_temp_directory_size
  uint32_t threads = 1;
  uint32_t async_threads = 2;  // of DuckDB, for waiting on files
};

// Pure. `limits.memory_bytes` at least 64 MiB.
MemoryPlan PlanMemory(const Limits& limits);

}  // namespace pondpilot::worker::engine
