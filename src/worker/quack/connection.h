#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
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
  Connection(std::string session_name, wire::Dialect dialect, base::Clock::Steady now)
      : session_name_(std::move(session_name)), dialect_(dialect), last_used_(now) {}

  const std::string& session_name() const { return session_name_; }
  wire::Dialect dialect() const { return dialect_; }

  // A call of the client's while it lives.
  class Call {
   public:
    Call(std::shared_ptr<Connection> connection, const base::Clock& clock);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    std::shared_ptr<Connection> connection_;
    const base::Clock& clock_;
  };

  // A statement that is to run, under the id of its result. Set: it was cancelled.
  std::shared_ptr<const std::atomic<bool>> Running(const wire::ResultId& id);
  // It has a result that is to be fetched, or none.
  void Keep(const wire::ResultId& id, std::shared_ptr<OpenRows> rows);
  void Keep(const wire::ResultId& id, std::shared_ptr<Upload> upload);
  void Ended(const wire::ResultId& id);

  std::shared_ptr<OpenRows> FindRows(const wire::ResultId& id) const;
  std::shared_ptr<Upload> FindUpload(const wire::ResultId& id) const;
  std::shared_ptr<Upload> FindUpload(std::string_view stream) const;
  // Stops the statement and forgets its result. Unknown ones have ended already.
  void Cancel(const wire::ResultId& id);
  // The same for all of them; `also_running`: those too that have no result yet.
  void CancelAll(bool also_running);
  // Forgets results that were read to their end.
  void ForgetEnded();
  // Stops everything; calls that go on see that it is closed.
  void Close();
  bool closed() const { return closed_.load(); }
  bool holds_results() const;
  size_t open_results() const;

  // Since when no call uses it; nullopt while one does.
  std::optional<base::Clock::Steady> idle_since() const;

 private:
  const std::string session_name_;
  const wire::Dialect dialect_;
  std::atomic<bool> closed_{false};
  mutable std::mutex mutex_;
  std::map<wire::ResultId, std::shared_ptr<OpenRows>> rows_;
  std::map<wire::ResultId, std::shared_ptr<Upload>> uploads_;
  std::map<wire::ResultId, std::shared_ptr<std::atomic<bool>>> running_;
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

  // The connection of this name, a new one when there is none. kAborted once when it was closed because its
  // lease was over; kResourceExhausted when there are too many that are in use.
  base::Result<std::shared_ptr<Connection>> Get(const std::string& name, wire::Dialect dialect);
  void Close(const std::string& name);
  // Closes what has been silent for too long.
  void Sweep();

 private:
  void SweepLoop();
  void End(const std::shared_ptr<Connection>& connection);

  session::StatementRunner& runner_;
  const base::Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::string, std::shared_ptr<Connection>> connections_;
  std::vector<std::string> expired_;  // to be told; oldest in front
  bool stopping_ = false;
  std::thread sweeper_;
};

}  // namespace pondpilot::worker::quack
