#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "worker/session/call_watch.h"
#include "worker/session/open_result.h"
#include "worker/session/statement_progress.h"
#include "worker/session/task_threads.h"

namespace pondpilot::worker::session {

// Statements that run while their clients are away and ask now and then (PollFlightInfo), each on a thread
// of its own, under unguessable names. Who does not ask for kLife has given up: the statement is
// stopped. Thread-safe.
class PollStore {
 public:
  // Both must outlive the store.
  PollStore(const base::Clock& clock, TaskThreads& threads) : clock_(clock), threads_(threads) {}
  ~PollStore();
  PollStore(const PollStore&) = delete;
  PollStore& operator=(const PollStore&) = delete;

  using Outcome = base::Result<std::shared_ptr<OpenResult>>;
  // Runs the statement; `gone` says that nobody wants it any more.
  using Run = std::function<Outcome(const CallWatch::Gone& gone, StatementProgress& progress)>;

  // Gives the name; kResourceExhausted when kMaxPolls are there, or no thread is free.
  base::Result<std::string> Start(Run run);

  struct Answer {
    std::optional<Outcome> outcome;  // when it has ended; the name is gone then
    double progress = -1;            // between 0 and 1; negative when not known
  };
  // Waits for the end of the statement, at most `limit` or until `gone`. kNotFound for an unknown name.
  base::Result<Answer> Await(const std::string& name, std::chrono::milliseconds limit,
                             const CallWatch::Gone& gone);
  // Stops it. kNotFound for an unknown name.
  base::Result<void> Cancel(const std::string& name);
  void Sweep();
  size_t size() const;

  static constexpr size_t kMaxPolls = 16;
  static constexpr std::chrono::seconds kLife{60};

 private:
  struct Entry {
    std::string name;
    std::atomic<bool> given_up{false};
    StatementProgress progress;
    std::optional<Outcome> outcome;
    base::Clock::Steady last_asked;
    bool asked = false;  // a call waits for it now
  };

  std::shared_ptr<Entry> Find(const std::string& name);

  const base::Clock& clock_;
  TaskThreads& threads_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::list<std::shared_ptr<Entry>> entries_;
};

}  // namespace pondpilot::worker::session
