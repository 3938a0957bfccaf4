#pragma once

#include <atomic>
#include <chrono>
#include <memory>

#include "base/clock.h"
#include "base/error.h"

namespace pondpilot::worker::session {

// How long the operator lets one statement run, from its start until its last row is computed. Thread-safe.
class TimeLimit {
 public:
  // From now on; no limit when `length` is 0. `clock` must outlive the object.
  TimeLimit(const base::Clock& clock, std::chrono::milliseconds length);

  bool exists() const { return length_.count() > 0; }

  // Is the time up? Once it was seen to be, it stays so.
  bool Check();

  // An error of the statement; when it came of the time being up, it says so.
  base::Error Explain(base::Error error) const;

 private:
  const base::Clock& clock_;
  const std::chrono::milliseconds length_;
  const base::Clock::Steady end_;
  std::atomic<bool> passed_{false};
};

}  // namespace pondpilot::worker::session
