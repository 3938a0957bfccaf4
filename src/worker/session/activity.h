#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "base/clock.h"

namespace pondpilot::worker::session {

// What the worker is doing, for the proxy's decision whether it is idle. Thread-safe.
class Activity {
 public:
  explicit Activity(const base::Clock& clock) : clock_(clock), idle_since_(clock.Now()) {}

  void StatementStarted();
  void StatementEnded();
  void StreamOpened();
  void StreamClosed();

  // A statement that runs while it lives.
  class Running {
   public:
    explicit Running(Activity& activity) : activity_(activity) { activity_.StatementStarted(); }
    ~Running() { activity_.StatementEnded(); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    Activity& activity_;
  };

  struct Snapshot {
    uint32_t running_statements = 0;
    uint32_t open_streams = 0;
    std::chrono::milliseconds idle{0};
    uint64_t begun = 0;  // statements and streams since the start
  };
  Snapshot Get() const;

  // Waits until no statement runs and no result is open, at most `limit`. False when the limit came first.
  bool AwaitNone(std::chrono::milliseconds limit) const;

 private:
  void NoteEnd();

  const base::Clock& clock_;
  mutable std::mutex mutex_;
  mutable std::condition_variable none_;
  uint32_t statements_ = 0;
  uint32_t streams_ = 0;
  uint64_t begun_ = 0;
  base::Clock::Steady idle_since_;
};

}  // namespace pondpilot::worker::session
