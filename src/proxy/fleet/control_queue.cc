#include "proxy/fleet/control_queue.h"

#include <memory>
#include <utility>

namespace pondpilot::proxy::fleet {

ControlQueue::ControlQueue() : thread_(&ControlQueue::Run, this) {}

ControlQueue::~ControlQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void* ControlQueue::Begin(Completion done) {
  auto* tag = new Completion(std::move(done));  // freed by Run
  {
    const std::lock_guard lock(mutex_);
    ++under_way_;
  }
  changed_.notify_one();
  return tag;
}

void ControlQueue::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return under_way_ > 0 || stopping_; });
      if (under_way_ == 0) break;
    }
    if (!queue_.Next(&tag, &ok)) break;
    const std::unique_ptr<Completion> done(static_cast<Completion*>(tag));
    (*done)(ok);
    const std::lock_guard lock(mutex_);
    --under_way_;
  }
  queue_.Shutdown();
  while (queue_.Next(&tag, &ok)) {
  }
}

}  // namespace pondpilot::proxy::fleet
