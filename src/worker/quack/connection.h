#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "quack/messages.h"
#include "worker/quack/open_rows.h"
#include "worker/quack/upload.h"

namespace pondpilot::worker::quack {

// What a client's connection has beside its session: open results, uploads, statements under way, by the ids
// of their results. Thread-safe.
class Connection {
 public:
  // The clock must outlive it.
  Connection(std::string session_name, wire::Dialect dialect, const base::Clock& clock)
      : session_name_(std::move(session_name)), dialect_(dialect), clock_(clock), last_used_(clock.Now()) {}

  const std::string& session_name() const { return session_name_; }
  wire::Dialect dialect() const { return dialect_; }

  // Results of version 1 that may be open at a time: each has one of the session's connections, and the next
  // statement needs one.
  static constexpr size_t kMaxOpenOld = session::Session::kMaxConnections - 1;
  static constexpr size_t kMaxEnded = 64;

  // A call of the client's while it lives.
  class Call {
   public:
    explicit Call(std::shared_ptr<Connection> connection);
    Call(Call&& other) noexcept = default;
    Call& operator=(Call&&) = delete;
    ~Call();

    Connection& connection() const { return *connection_; }

   private:
    std::shared_ptr<Connection> connection_;
  };

  // Set: the statement was cancelled. It also tells one statement from another under the same id.
  using Flag = std::shared_ptr<std::atomic<bool>>;
  // A statement that is to run, under the id of its result.
  Flag Running(const wire::ResultId& id);
  // It has a result that is to be fetched.
  void Keep(const wire::ResultId& id, const Flag& flag, std::shared_ptr<OpenRows> rows);
  void Keep(const wire::ResultId& id, const Flag& flag, std::shared_ptr<Upload> upload);
  // It has none, or its result is kept.
  void Ended(const wire::ResultId& id, const Flag& flag);
  void EndUpload(const wire::ResultId& id);

  std::shared_ptr<OpenRows> FindRows(const wire::ResultId& id);
  // Its rows were given to the client just now.
  void NoteFetched(const wire::ResultId& id);
  std::shared_ptr<Upload> FindUpload(const wire::ResultId& id) const;
  std::shared_ptr<Upload> FindUpload(std::string_view stream) const;
  // Stops the statement and forgets its result. Unknown ones have ended already.
  void Cancel(const wire::ResultId& id);
  // The same for all of them; `also_running`: those too that have no result yet. Gives the uploads, which may
  // have to be waited for.
  std::vector<std::shared_ptr<Upload>> CancelAll(bool also_running);
  // For one more statement of version 1, which has no message that closes a result: when kMaxOpenOld are in
  // use, the result that was fetched from longest ago is closed. None that is being fetched from is.
  void MakeRoom();
  // Closes results that were not fetched from for `life`.
  void CloseForgotten(std::chrono::seconds life);
  // Lets go of results that were read to their end. In version 1 several threads of a client fetch from one
  // result, and each asks until it is told of the end: of the last kMaxEnded it is known that they ended.
  void ForgetEnded();
  bool HasEnded(const wire::ResultId& id) const;
  // What the client had here before was given up in its silence: the next of its messages that wants
  // something done is refused with that, so that nothing that was meant for a transaction runs outside it.
  void MarkLost();
  bool lost() const;
  bool TakeLost();
  // Stops everything; calls that go on see that it is closed.
  void Close();
  bool closed() const { return closed_.load(); }
  bool holds_results() const;

  // Since when no call uses it; nullopt while one does.
  std::optional<base::Clock::Steady> idle_since() const;

 private:
  struct Result {
    std::shared_ptr<OpenRows> rows;
    base::Clock::Steady last_fetched;
  };
  using Results = std::map<wire::ResultId, Result>;
  // Who fetches has a copy, made under the lock.
  static bool IsIdle(const Results::value_type& one) {
    return !one.second.rows->over() && one.second.rows.use_count() == 1;
  }

  const std::string session_name_;
  const wire::Dialect dialect_;
  const base::Clock& clock_;
  std::atomic<bool> closed_{false};

  mutable std::mutex mutex_;
  Results rows_;
  std::map<wire::ResultId, std::shared_ptr<Upload>> uploads_;
  std::map<wire::ResultId, Flag> running_;
  std::deque<wire::ResultId> ended_;  // oldest in front
  bool lost_ = false;
  int calls_ = 0;
  base::Clock::Steady last_used_;
};

// The connections by their names. One thread looks for those whose clients have gone silent, and sleeps while
// there are none. Thread-safe.
class Connections {
 public:
  // A client of version 3 is to be heard of within so many seconds; the others' open results are dropped
  // after a longer time.
  static constexpr std::chrono::seconds kLease{60};
  static constexpr std::chrono::seconds kOldResultLife{600};
  static constexpr size_t kMaxConnections = 256;

  // Both must outlive it.
  Connections(session::StatementRunner& runner, const base::Clock& clock);
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // A call on the connection of this name, a new one when there is none, which is marked as lost when it had
  // something and its lease was over. kResourceExhausted when there are too many that are in use.
  base::Result<Connection::Call> Get(const std::string& name, wire::Dialect dialect);
  void Close(const std::string& name);
  // Closes what has been silent for too long.
  void Sweep();
  size_t size() const;

 private:
  void SweepLoop();
  bool HasLeases() const;
  void End(const std::shared_ptr<Connection>& connection);

  session::StatementRunner& runner_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::string, std::shared_ptr<Connection>> connections_;
  std::vector<std::string> expired_;  // to be told; oldest in front
  bool stopping_ = false;
  std::thread sweeper_;
};

}  // namespace pondpilot::worker::quack
