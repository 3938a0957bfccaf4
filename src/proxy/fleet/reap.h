#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace pondpilot::proxy::fleet {

// What is known of a ready worker when it is decided whether to keep it.
struct WorkerSnapshot {
  bool leased = false;
  // What the worker said last, and when it was asked; nothing before its first report.
  std::optional<base::Clock::Steady> reported_at;
  uint32_t running_statements = 0;
  uint32_t open_streams = 0;
  uint32_t open_transactions = 0;
  uint32_t kept_objects = 0;
  // When its last lease ended, or when it became ready if there was none.
  base::Clock::Steady last_lease_end;
  std::chrono::milliseconds idle_timeout{0};
  // For a worker that keeps something for somebody who may come back; idle_timeout when that is longer.
  std::chrono::milliseconds session_timeout{0};
};

struct ReapDecision {
  bool stop = false;
  // When not stopped and nothing happens in between: when the answer may become another one. Nothing: as long
  // as the worker is leased or works.
  std::optional<base::Clock::Steady> look_again;
};

// No lease, and a report asked for after the last lease's end that names no statement, stream or open
// transaction.
bool IsIdle(const WorkerSnapshot& snapshot);

// Stop a worker that is idle and whose last lease ended at least idle_timeout ago, or session_timeout when it
// keeps something.
ReapDecision Decide(const WorkerSnapshot& snapshot, base::Clock::Steady now);

}  // namespace pondpilot::proxy::fleet
