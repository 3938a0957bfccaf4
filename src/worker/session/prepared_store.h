#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/error.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::session {

struct PreparedLimits {
  size_t statements = 1024;
  // The texts and the values of all of them together.
  size_t bytes = 64 << 20;
  std::chrono::milliseconds idle{60 * 60'000};
};

// What a client wants to run.
struct Statement {
  std::string sql;
  // The handle of the transaction that it runs in; empty for none.
  std::string transaction;
  // Values for its parameters; nullptr when it has none, or none yet.
  std::shared_ptr<const engine::ParameterRows> values;
};

// Prepared statements under unguessable handles. A handle belongs to the session that made it, named by its
// connection: to others it does not exist. The text is planned again at each execution, which sees the tables
// as they are then. Thread-safe.
class PreparedStore {
 public:
  explicit PreparedStore(const base::Clock& clock, PreparedLimits limits = {})
      : clock_(clock), limits_(limits) {}

  // Returns the handle. The longest unused go when a bound is passed.
  std::string Put(const std::string& session, Statement statement);
  // kNotFound when the handle was closed, has expired or is none of this session's.
  base::Result<Statement> Get(const std::string& session, std::string_view handle);
  // Values for the executions to come, of `bytes` bytes. kResourceExhausted when they are more than the
  // bound.
  base::Result<void> Bind(const std::string& session, std::string_view handle,
                          std::shared_ptr<const engine::ParameterRows> values, size_t bytes);
  base::Result<void> Close(const std::string& session, std::string_view handle);
  // All of a session that was closed.
  void CloseSession(const std::string& session);
  void Sweep();
  size_t Count() const;

  const PreparedLimits& limits() const { return limits_; }

 private:
  struct Entry {
    std::string session;
    Statement statement;
    size_t bytes = 0;
    base::Clock::Steady last_used;
  };
  using Entries = std::unordered_map<std::string, Entry>;

  // With `mutex_` held.
  base::Result<Entries::iterator> Find(const std::string& session, std::string_view handle);
  void MakeRoom(const std::string& but);

  const base::Clock& clock_;
  const PreparedLimits limits_;
  mutable std::mutex mutex_;
  Entries entries_;
  size_t bytes_ = 0;
};

}  // namespace pondpilot::worker::session
