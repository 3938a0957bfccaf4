#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::session {

class Session;

// The right to run one statement on a connection, until it is destroyed. Keeps its session alive.
class ConnectionLease {
 public:
  ConnectionLease(std::shared_ptr<Session> session, engine::Connection* connection);
  ConnectionLease(ConnectionLease&& other) noexcept;
  ConnectionLease& operator=(ConnectionLease&&) = delete;
  ~ConnectionLease();

  engine::Connection& connection() { return *connection_; }

  // After the statement has run, also when its result is still open: later statements must see the state that
  // it has left. kAborted when another statement that ran at the same time was first: a session has one
  // state, and what this one has changed of it goes with its connection.
  base::Result<void> Settle();

 private:
  std::shared_ptr<Session> session_;
  engine::Connection* connection_;
};

// What one client connection has in the engine. As long as none of its DuckDB connections holds state
// (settings, temporary tables, an open transaction) they are alike, and statements that overlap take one
// each. The first that has state becomes the session: from then on every statement runs on that one, in the
// order in which they came. Thread-safe.
class Session : public std::enable_shared_from_this<Session> {
 public:
  // Both must outlive the session.
  Session(engine::Engine& engine, const base::Clock& clock);

  // A connection for one statement. Waits for it until `deadline` (kFailedPrecondition) or until `gone` says
  // that the caller has left (kCancelled); kResourceExhausted when kMaxWaiting statements wait already.
  base::Result<ConnectionLease> Acquire(base::Clock::Steady deadline, const std::function<bool()>& gone);

  struct State {
    bool busy = false;  // a statement runs or waits, or a result is open
    bool has_state = false;
    bool in_transaction = false;
    base::Clock::Steady last_used;
  };
  State state() const;

  static constexpr size_t kMaxConnections = 8;
  // Free connections that are kept for the next statement.
  static constexpr size_t kMaxFree = 2;
  static constexpr size_t kMaxWaiting = 16;

 private:
  friend class ConnectionLease;

  struct Slot {
    std::unique_ptr<engine::Connection> connection;
    bool busy = false;
    // Seen when a statement had run: the connection must not be asked while one runs on it.
    bool has_state = false;
    bool in_transaction = false;
    bool superseded = false;  // its state is not the session's: another statement was first
  };

  Slot* Stateful();
  // Notes what state the statement on a connection has left.
  void Look(Slot& slot);
  Slot& Find(const engine::Connection* connection);
  base::Result<Slot*> TryTake();
  base::Result<void> Settle(const engine::Connection* connection);
  void Release(const engine::Connection* connection);

  engine::Engine& engine_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::deque<const void*> waiting_;  // in the order in which they came
  base::Clock::Steady last_used_;
};

}  // namespace pondpilot::worker::session
