#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace pondpilot::worker::session {

// Threads for what goes on after the call that began it was answered. A thread that is done takes the next
// task or ends; kKept are kept ready, so that there is one while a statement takes all memory. Thread-safe.
class TaskThreads {
 public:
  using Task = std::function<void()>;

  TaskThreads();
  // Waits for every task; who gave one ends it.
  ~TaskThreads();
  TaskThreads(const TaskThreads&) = delete;
  TaskThreads& operator=(const TaskThreads&) = delete;

  // Runs `task`, which must not throw, on a thread of its own; it is destroyed there. False, without having
  // run it, when kMaxThreads are busy or there is no memory for another.
  bool Run(Task task);

  static constexpr size_t kMaxThreads = 32;
  static constexpr size_t kKept = 1;

 private:
  bool AddThread();
  void Loop(std::list<std::thread>::iterator self);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> queue_;  // for each, a thread is free or begins
  std::list<std::thread> threads_;
  std::list<std::thread> ended_;  // to be joined
  size_t busy_ = 0;
  bool stopping_ = false;
};

}  // namespace pondpilot::worker::session
