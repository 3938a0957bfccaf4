#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/session/session.h"

namespace pondpilot::worker::session {

// The sessions by the name of the client's connection, which the proxy adds to each call. Calls without a
// name share one. Thread-safe.
class SessionRegistry {
 public:
  SessionRegistry(engine::Engine& engine, const base::Clock& clock) : engine_(engine), clock_(clock) {}

  // The session of a connection, a new one the first time. At kMaxSessions the one idle for longest is
  // closed, one without state before one with, one in a transaction last; kResourceExhausted when all are
  // busy. kInvalidArgument for a name longer than kMaxNameBytes. kAborted once after a session with state was
  // closed for its age or to make room: a statement meant for a transaction must not run outside it.
  base::Result<std::shared_ptr<Session>> Get(const std::string& connection_name);

  // A session for one call and its result, which nothing else shares; it ends with its last lease.
  // kResourceExhausted when there are kMaxAlone.
  base::Result<std::shared_ptr<Session>> Alone();

  // Forgets the session: its state is gone for later calls, an open transaction is rolled back. What runs,
  // runs on. False when there is none.
  bool Close(const std::string& connection_name);

  // nullopt when there is none of this name.
  std::optional<Session::State> StateOf(const std::string& connection_name) const;

  // Closes sessions that were not used for their idle life; rolls back transactions with a handle that were
  // not used for theirs.
  void Sweep();

  struct Counts {
    uint32_t sessions = 0;
    uint32_t open_transactions = 0;
    uint32_t with_state = 0;  // settings, temporary tables
  };
  Counts Count() const;

  static constexpr size_t kMaxSessions = 256;
  // Of Alone.
  static constexpr size_t kMaxAlone = 256;
  static constexpr size_t kMaxNameBytes = 256;
  // Connections that are still to be told that their session was closed.
  static constexpr size_t kMaxLost = 1024;
  // For how long; the name of a connection comes again when a client's port does.
  static constexpr std::chrono::minutes kLostLife{60};
  static constexpr std::chrono::minutes kIdleLife{30};
  // An abandoned transaction is rolled back sooner: it keeps the worker from being stopped.
  static constexpr std::chrono::minutes kTransactionIdleLife{10};

 private:
  std::vector<std::shared_ptr<Session>> All() const;
  // With `mutex_` held.
  void NoteLost(const std::string& connection_name, const Session::State& state, std::string_view why);

  engine::Engine& engine_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Session>> sessions_;
  std::vector<std::weak_ptr<Session>> alone_;
  struct Lost {
    std::string connection_name;
    std::string message;  // what to tell
    base::Clock::Steady since;
  };
  std::deque<Lost> lost_;  // oldest in front
};

}  // namespace pondpilot::worker::session
