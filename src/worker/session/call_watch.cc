#include "worker/session/call_watch.h"

#include <utility>

namespace pondpilot::worker::session {

CallWatch::CallWatch(std::function<void()> meanwhile)
    : meanwhile_(std::move(meanwhile)), thread_(&CallWatch::Run, this) {}

CallWatch::~CallWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

CallWatch::Guard::Guard(CallWatch& watch, Gone gone, Cancel cancel)
    : watch_(watch), gone_(std::move(gone)), cancel_(std::move(cancel)) {
  {
    const std::lock_guard lock(watch_.mutex_);
    at_ = watch_.guards_.insert(watch_.guards_.end(), this);
  }
  watch_.changed_.notify_one();
}

CallWatch::Guard::~Guard() {
  const std::lock_guard lock(watch_.mutex_);
  watch_.guards_.erase(at_);
}

void CallWatch::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (guards_.empty()) {
      changed_.wait(lock, [this] { return stopping_ || !guards_.empty(); });
      continue;
    }
    changed_.wait_for(lock, kPeriod, [this] { return stopping_; });
    // Under the lock: a guard can't go while its functions run. They are short.
    for (Guard* guard : guards_) {
      guard->is_gone_ = guard->is_gone_ || guard->gone_();
      if (guard->is_gone_) guard->cancel_();
    }
    lock.unlock();
    meanwhile_();
    lock.lock();
  }
}

}  // namespace pondpilot::worker::session
