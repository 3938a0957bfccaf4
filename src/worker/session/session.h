#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::session {

class Session;

// Which of a session's connections a call wants.
struct Use {
  // A handle of Begin's; empty for none.
  std::string transaction;
  // Without a handle: the session's only open transaction, when it has one with a handle. For questions about
  // what there is, and for loads, which some clients send without the handle that they mean.
  bool joins_transaction = false;
};

// The right to run one statement on a connection, until it is destroyed. Keeps its session alive.
class ConnectionLease {
 public:
  ConnectionLease(std::shared_ptr<Session> session, engine::Connection* connection);
  ConnectionLease(ConnectionLease&& other) noexcept;
  ConnectionLease& operator=(ConnectionLease&&) = delete;
  ~ConnectionLease();

  engine::Connection& connection() const { return *connection_; }

  // The transaction that was begun on the connection gets a handle, unguessable. kResourceExhausted when
  // Session::kMaxTransactions have one.
  base::Result<std::string> NameTransaction();

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
// order in which they came.
//
// A transaction with a handle has a connection to itself: that of the session's state, so that it sees
// temporary tables, or any when there is no state. Statements without the handle run beside it, on other
// connections; when the session's state is where the transaction is, they can't (kFailedPrecondition).
// Thread-safe.
class Session : public std::enable_shared_from_this<Session> {
 public:
  // Both must outlive the session.
  Session(engine::Engine& engine, const base::Clock& clock);

  // A connection for one statement. Waits for it until `deadline` (kFailedPrecondition) or until `gone` says
  // that the caller has left (kCancelled); kResourceExhausted when kMaxWaiting statements wait already,
  // kNotFound for a handle that is none of this session's open transactions.
  base::Result<ConnectionLease> Acquire(const Use& use, base::Clock::Steady deadline,
                                        const std::function<bool()>& gone);

  // Stops what runs inside a transaction, if anything does; its connection, or nullptr when there is none.
  const engine::Connection* InterruptTransaction(const std::string& handle);
  const engine::Connection* FindTransaction(const std::string& handle) const;
  // Rolls back the transactions with a handle that nothing was done in for `life`.
  void SweepTransactions(base::Clock::Steady now, std::chrono::milliseconds life);

  struct State {
    bool busy = false;  // a statement runs or waits, or a result is open
    bool has_state = false;
    bool in_transaction = false;
    // The transaction is the session's own: statements without a handle run in it.
    bool own_transaction = false;
    base::Clock::Steady last_used;
  };
  State state() const;

  static constexpr size_t kMaxConnections = 8;
  // Free connections that are kept for the next statement.
  static constexpr size_t kMaxFree = 2;
  static constexpr size_t kMaxWaiting = 16;
  // With a handle, at the same time.
  static constexpr size_t kMaxTransactions = 4;

 private:
  friend class ConnectionLease;

  struct Slot {
    std::unique_ptr<engine::Connection> connection;
    bool busy = false;
    // Seen when a statement had run: the connection must not be asked while one runs on it.
    bool has_state = false;
    bool in_transaction = false;
    bool superseded = false;  // its state is not the session's: another statement was first
    std::string transaction;  // the handle of the transaction that has this connection
    base::Clock::Steady transaction_used;
  };
  struct Waiting {
    const void* who;
    std::string transaction;  // those who want different ones don't wait for each other
  };

  Slot* Stateful();
  // Notes what state the statement on a connection has left.
  void Look(Slot& slot);
  Slot& Find(const engine::Connection* connection);
  Slot* Named(const std::string& transaction) const;
  base::Result<Slot*> TryTake(const Use& use);
  base::Result<Slot*> TryTakeBeside(const Use& use);
  bool IsNext(const void* who, const std::string& transaction) const;
  base::Result<std::string> NameTransaction(const engine::Connection* connection);
  base::Result<void> Settle(const engine::Connection* connection);
  void Release(const engine::Connection* connection);

  engine::Engine& engine_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::deque<Waiting> waiting_;  // in the order in which they came
  base::Clock::Steady last_used_;
};

}  // namespace pondpilot::worker::session
