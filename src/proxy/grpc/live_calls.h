#pragma once

#include <grpcpp/client_context.h>

#include <condition_variable>
#include <mutex>
#include <unordered_set>

namespace pondpilot::proxy::grpc {

// The calls that exist, each by its way to the worker, so that a server can end them and knows when the last
// has gone. Thread-safe.
class LiveCalls {
 public:
  // `upstream` must exist until it leaves; its call need not have begun.
  void Enter(::grpc::ClientContext& upstream) {
    const std::lock_guard lock(mutex_);
    calls_.insert(&upstream);
    if (interrupted_) upstream.TryCancel();
  }

  void Leave(::grpc::ClientContext& upstream) {
    const std::lock_guard lock(mutex_);
    calls_.erase(&upstream);
    // Under the lock: once AwaitNone has returned, this object may be gone.
    if (calls_.empty()) none_.notify_all();
  }

  // Breaks off what they have the workers do, and that of those still to come.
  void Interrupt() {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    for (::grpc::ClientContext* upstream : calls_) upstream->TryCancel();
  }

  bool interrupted() const {
    const std::lock_guard lock(mutex_);
    return interrupted_;
  }

  // Blocks until none is left.
  void AwaitNone() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [this] { return calls_.empty(); });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable none_;
  std::unordered_set<::grpc::ClientContext*> calls_;
  bool interrupted_ = false;
};

}  // namespace pondpilot::proxy::grpc
