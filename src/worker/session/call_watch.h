#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace pondpilot::worker::session {

// Notices calls whose client has gone. Arrow's Flight server is synchronous and tells nobody; it can only be
// asked. One thread asks every kPeriod while there are calls, and sleeps while there are none. Thread-safe.
class CallWatch {
 public:
  // `meanwhile`: runs on the thread every kPeriod as well, while there are calls.
  explicit CallWatch(std::function<void()> meanwhile = [] {});
  ~CallWatch();
  CallWatch(const CallWatch&) = delete;
  CallWatch& operator=(const CallWatch&) = delete;

  using Gone = std::function<bool()>;
  using Cancel = std::function<void()>;

  // One call under watch. Once `gone` has said so, `cancel` runs on the watch's thread every kPeriod, so that
  // an interrupt that came a moment before there was something to interrupt is made up for; not after ~Guard
  // has returned. It must be short.
  class Guard {
   public:
    // `watch` must outlive the guard; what the functions refer to as well.
    Guard(CallWatch& watch, Gone gone, Cancel cancel);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    friend class CallWatch;
    CallWatch& watch_;
    Gone gone_;
    Cancel cancel_;
    bool is_gone_ = false;
    std::list<Guard*>::iterator at_;
  };

 private:
  static constexpr std::chrono::milliseconds kPeriod{20};
  void Run();

  const std::function<void()> meanwhile_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Guard*> guards_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pondpilot::worker::session
