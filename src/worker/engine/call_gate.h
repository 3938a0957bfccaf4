#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace pondpilot::worker::engine {

// Knows whether a thread is inside DuckDB for one connection, and in which call: so that whoever follows up
// on a cancelled call can be sure to hit that call and not the next one. Thread-safe.
class CallGate {
 public:
  // Of how many connections may somebody still want an answer from an attached database?
  using Users = std::atomic<int>;

  CallGate() = default;
  // Counts its connection among `users` while a call is inside and, when `holds` says at its end that a
  // transaction is open (a result that is being read has one), until a later call has ended it.
  CallGate(std::shared_ptr<Users> users, std::function<bool()> holds)
      : users_(std::move(users)), holds_(std::move(holds)) {}
  ~CallGate() { Use(false); }
  CallGate(const CallGate&) = delete;
  CallGate& operator=(const CallGate&) = delete;

  // While it lives, a thread is inside.
  class Inside {
   public:
    explicit Inside(CallGate& gate) : gate_(gate) { gate_.Enter(); }
    ~Inside() { gate_.Leave(); }
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
  void Turn();
  void Enter();
  void Leave();
  // On the thread that is or was inside.
  void Use(bool uses);

  std::shared_ptr<Users> users_;
  std::function<bool()> holds_;
  bool uses_ = false;
  mutable std::mutex mutex_;
  uint64_t turns_ = 0;  // odd while a call is inside
};

}  // namespace pondpilot::worker::engine
