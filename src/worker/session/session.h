#pragma once

#include <chrono>
#include <condition_variable>
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

 private:
  std::shared_ptr<Session> session_;
  engine::Connection* connection_;
};

// What one client connection has in the engine: a primary DuckDB connection, which holds its settings,
// temporary tables and transaction, and siblings for statements that come while the primary is busy and holds
// no state. Thread-safe.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(engine::Engine& engine, const base::Clock& clock);

  // The primary when it is free; a sibling when it is busy without state; else waits for it until `deadline`
  // or until `gone` says that the caller has left.
  base::Result<ConnectionLease> Acquire(base::Clock::Steady deadline, const std::function<bool()>& gone);

  bool Busy() const;
  bool HasState() const;
  bool InTransaction() const;
  base::Clock::Steady last_used() const;

 private:
  friend class ConnectionLease;
  static constexpr size_t kMaxSiblings = 8;
  void Release(engine::Connection* connection);

  engine::Engine& engine_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable released_;
  std::unique_ptr<engine::Connection> primary_;
  bool primary_busy_ = false;
  // Seen when the primary was last free: the connection itself must not be asked while a statement runs on
  // it.
  bool has_state_ = false;
  bool in_transaction_ = false;
  std::vector<std::unique_ptr<engine::Connection>> siblings_;
  std::vector<engine::Connection*> free_siblings_;
  base::Clock::Steady last_used_;
};

}  // namespace pondpilot::worker::session
