#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "proxy/auth/principal.h"
#include "quack/messages.h"

namespace pondpilot::proxy::quack {

namespace wire = pondpilot::quack;

// One ATTACH of a client's. Whoever has its id may use it, as with a token.
struct Connection {
  std::string id;    // what the client knows
  std::string name;  // what the worker knows
  auth::Principal principal;
  wire::Dialect dialect = wire::Dialect::kV1;
  std::string worker_id;       // that has served it last; empty: none yet
  bool holds_state = false;    // in that worker, as its last answer said
  bool holds_results = false;  // likewise
  bool lost_state = false;     // with a worker that is gone; the client has not been told yet
  size_t open_messages = 0;    // that are at the worker
  uint64_t messages = 0;       // that have been there
  uint64_t appends = 0;        // of version 1, since its last statement

  // The worker is gone with all that the connection had there.
  void Lose() {
    lost_state = lost_state || holds_state;
    holds_state = holds_results = false;
    worker_id.clear();
  }
};

// The connections by their ids, which can't be guessed. Bounded for each user and in all: the one that was
// used longest ago makes way. On one thread.
class Connections {
 public:
  static constexpr size_t kMaxPerUser = 64;
  static constexpr size_t kMaxConnections = 10'000;
  // A client that is silent for so long has gone.
  static constexpr std::chrono::hours kIdleLife{24};

  // `clock` must outlive it.
  explicit Connections(const base::Clock& clock) : clock_(clock) {}

  std::shared_ptr<Connection> Add(auth::Principal principal, wire::Dialect dialect);
  // nullptr for an id that is none, or none any more.
  std::shared_ptr<Connection> Find(std::string_view id);
  void Remove(const std::string& id);
  size_t size() const { return order_.size(); }

 private:
  struct Entry {
    std::shared_ptr<Connection> connection;
    base::Clock::Steady last_used;
  };
  using Order = std::list<Entry>;  // used last in front

  void Erase(Order::iterator at);

  const base::Clock& clock_;
  Order order_;
  std::unordered_map<std::string_view, Order::iterator> by_id_;  // views into the connections
  std::unordered_map<std::string, size_t> of_user_;
};

}  // namespace pondpilot::proxy::quack
