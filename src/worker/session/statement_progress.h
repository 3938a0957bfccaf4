#pragma once

#include <mutex>

#include "worker/engine/engine.h"

namespace pondpilot::worker::session {

// How far a statement has come that runs on another thread. Thread-safe.
class StatementProgress {
 public:
  void Started(engine::Connection& connection) {
    const std::lock_guard lock(mutex_);
    connection.TrackProgress();
    running_ = &connection;
  }
  void Ended() {
    const std::lock_guard lock(mutex_);
    running_ = nullptr;
  }
  // Between 0 and 1; negative when not known.
  double Get() const {
    const std::lock_guard lock(mutex_);
    const double percent = running_ == nullptr ? -1 : running_->Progress();
    return percent < 0 ? -1 : percent / 100;
  }

 private:
  mutable std::mutex mutex_;
  engine::Connection* running_ = nullptr;
};

}  // namespace pondpilot::worker::session
