#pragma once

#include <cstdint>
#include <mutex>

namespace pondpilot::worker::engine {

// Knows whether a thread is inside DuckDB for one connection, and in which call: so that whoever follows up
// on a cancelled call can be sure to hit that call and not the next one. Thread-safe.
class CallGate {
 public:
  // While it lives, a thread is inside.
  class Inside {
   public:
    explicit Inside(CallGate& gate) : gate_(gate) { gate_.Turn(); }
    ~Inside() { gate_.Turn(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    CallGate& gate_;
  };

  // Names the call that is inside now; 0 when none is.
  uint64_t Current() const {
    const std::lock_guard lock(mutex_);
    return turns_ % 2 == 1 ? turns_ : 0;
  }

  // Runs `action` (short; it must not use the gate) if `call` is inside still, and holds it there until the
  // action has ended. False when the call has ended.
  template <typename Action>
  bool IfStillInside(uint64_t call, Action action) {
    const std::lock_guard lock(mutex_);
    if (call == 0 || turns_ != call) return false;
    action();
    return true;
  }

 private:
  void Turn() {
    const std::lock_guard lock(mutex_);
    ++turns_;
  }

  mutable std::mutex mutex_;
  uint64_t turns_ = 0;  // odd while a call is inside
};

}  // namespace pondpilot::worker::engine
