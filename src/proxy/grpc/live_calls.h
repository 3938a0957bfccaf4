#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace pondpilot::proxy::grpc {

// Counts the calls that exist, so that a server knows when its last one has gone. Thread-safe.
class LiveCalls {
 public:
  void Enter() {
    const std::lock_guard lock(mutex_);
    ++count_;
  }

  void Leave() {
    const std::lock_guard lock(mutex_);
    // Under the lock: once AwaitNone has returned, this object may be gone.
    if (--count_ == 0) none_.notify_all();
  }

  // Blocks until none is left.
  void AwaitNone() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  size_t count_ = 0;
};

}  // namespace pondpilot::proxy::grpc
