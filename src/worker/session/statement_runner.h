#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "worker/session/activity.h"
#include "worker/session/call_watch.h"
#include "worker/session/prepared_store.h"
#include "worker/session/session_registry.h"
#include "worker/session/ticket_store.h"

namespace pondpilot::worker::session {

// Who asks: the client's connection, and whether it still waits.
struct Caller {
  std::string connection_name;
  CallWatch::Gone gone;
  base::Clock::Steady deadline;  // for waiting for a connection
};

// Runs statements for the doors (Flight, later others): picks the session's connection, watches for a client
// that goes away, counts. Thread-safe.
class StatementRunner {
 public:
  // Both must outlive the runner.
  StatementRunner(engine::Engine& engine, const base::Clock& clock);
  ~StatementRunner();

  // Runs all statements of `sql`; the result is that of the last one. Blocks until its first rows are there,
  // or until the caller has gone (kCancelled). The result holds what it needs of the session until it is
  // destroyed.
  base::Result<std::shared_ptr<OpenResult>> Execute(const Caller& caller, std::string_view sql);

  TicketStore& tickets() { return tickets_; }
  CallWatch& watch() { return watch_; }
  Activity& activity() { return activity_; }
  const Activity& activity() const { return activity_; }
  SessionRegistry& sessions() { return sessions_; }
  PreparedStore& prepared() { return prepared_; }

  // No new statements from now on (kUnavailable).
  void Drain() { draining_.store(true); }
  bool draining() const { return draining_.load(); }

 private:
  void SweepLoop();

  const base::Clock& clock_;
  Activity activity_;
  SessionRegistry sessions_;
  TicketStore tickets_;
  PreparedStore prepared_;
  CallWatch watch_;
  std::atomic<bool> draining_{false};

  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread sweeper_;
};

}  // namespace pondpilot::worker::session
