#include "worker/session/task_threads.h"

#include <system_error>
#include <utility>

namespace pondpilot::worker::session {

TaskThreads::TaskThreads() {
  const std::lock_guard lock(mutex_);
  while (threads_.size() < kKept && AddThread()) {
  }
}

TaskThreads::~TaskThreads() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  // From now on no thread leaves its list.
  for (std::thread& thread : threads_) thread.join();
  for (std::thread& thread : ended_) thread.join();
}

bool TaskThreads::Run(Task task) {
  std::list<std::thread> ended;
  bool accepted = false;
  {
    const std::lock_guard lock(mutex_);
    ended.swap(ended_);
    accepted = threads_.size() - busy_ > queue_.size() || (threads_.size() < kMaxThreads && AddThread());
    if (accepted) queue_.push_back(std::move(task));
  }
  if (accepted) wake_.notify_one();
  for (std::thread& thread : ended) thread.join();
  return accepted;
}

bool TaskThreads::AddThread() {
  const auto self = threads_.emplace(threads_.end());
  try {
    *self = std::thread(&TaskThreads::Loop, this, self);
  } catch (const std::system_error&) {
    threads_.erase(self);
    return false;
  }
  return true;
}

void TaskThreads::Loop(std::list<std::thread>::iterator self) {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    ++busy_;
    {
      const Task task = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      task();
    }
    lock.lock();
    --busy_;
    // As many are free without this one.
    if (!stopping_ && queue_.empty() && threads_.size() - busy_ > kKept) {
      ended_.splice(ended_.end(), threads_, self);
      return;
    }
  }
}

}  // namespace pondpilot::worker::session
