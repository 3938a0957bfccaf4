#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "worker/session/activity.h"
#include "worker/session/call_watch.h"
#include "worker/session/open_chunks.h"
#include "worker/session/poll_store.h"
#include "worker/session/prepared_store.h"
#include "worker/session/session_registry.h"
#include "worker/session/statement_progress.h"
#include "worker/session/task_threads.h"
#include "worker/session/ticket_store.h"
#include "worker/session/time_limit.h"

namespace pondpilot::worker::session {

// Who asks: the client's connection, and whether it still waits.
struct Caller {
  std::string connection_name;
  CallWatch::Gone gone;
  base::Clock::Steady deadline;  // for waiting for a connection
  Use use{};
  StatementProgress* progress = nullptr;  // outlives the call
  // The most that the call waits for the first rows of its result; without it, for as long as they take.
  std::optional<std::chrono::milliseconds> first_rows_wait = {};
  // With it: the statement is stopped when they are not there by then, also after the call.
  std::optional<base::Clock::Steady> first_rows_deadline = {};
  engine::Types types = engine::Types::kCommon;  // of the rows, and of what is told of them
  // On a connection of its own, whatever the client's session holds or waits for: for calls that stand for
  // themselves. `use` is none.
  bool alone = false;
};

// Runs statements for the doors (Flight, later others): picks the session's connection, watches for a client
// that goes away, counts. Thread-safe.
class StatementRunner {
 public:
  // Both must outlive the runner. `meanwhile`: see CallWatch; now and then it also runs while there are no
  // calls.
  StatementRunner(engine::Engine& engine, const base::Clock& clock, std::function<void()> meanwhile = [] {});
  ~StatementRunner();

  // Runs all statements of `sql`; the result is that of the last one. Blocks until its first rows are there,
  // or until the caller has gone (kCancelled). When the caller waits no longer, the rows go on being computed
  // and reading waits for them; an error then shows there. The result holds what it needs of the session
  // until it is destroyed.
  base::Result<std::shared_ptr<OpenResult>> Execute(const Caller& caller, std::string_view sql);
  // The same with values, see engine::Connection::ExecuteWith.
  base::Result<std::shared_ptr<OpenResult>> ExecuteWith(const Caller& caller, std::string_view sql,
                                                        const engine::ParameterRows& values);
  // The same for a reader of chunks; returns when the statement has begun. Statements that don't stream have
  // run.
  base::Result<std::shared_ptr<OpenChunks>> ExecuteChunks(const Caller& caller, std::string_view sql,
                                                          engine::ChunkVersion version,
                                                          uint64_t batch_chunks);
  // See engine::Connection::InsertChunks.
  base::Result<int64_t> InsertChunks(const Caller& caller, std::string_view sql,
                                     const std::vector<std::string_view>& chunks);
  base::Result<engine::Description> Describe(const Caller& caller, std::string_view sql);
  base::Result<int64_t> Ingest(const Caller& caller, const engine::IngestTarget& target,
                               engine::RowSource& source);
  base::Result<int64_t> Change(const Caller& caller, const engine::TableChange& change,
                               engine::RowSource& source, const engine::BatchSink& returned);
  base::Result<std::vector<std::string>> TypeNames(const Caller& caller,
                                                   const std::shared_ptr<arrow::Schema>& schema);
  base::Result<engine::CatalogAnswer> Look(const Caller& caller, const engine::CatalogQuestion& question);

  // Begins a transaction; gives its handle, for Caller::use. It is rolled back when nothing was done in it
  // for SessionRegistry::kTransactionIdleLife.
  base::Result<std::string> Begin(const Caller& caller);
  // Ends the caller's transaction. Results of it that are not read yet are dropped; a rollback also stops
  // what runs in it. An error of a commit has rolled it back.
  base::Result<void> End(const Caller& caller, bool commit);

  // Leaves the open transaction that the caller's statements run in nothing but ROLLBACK.
  base::Result<void> Spoil(const Caller& caller);

  // Ends the caller's session with all that it has prepared. False when there was none.
  bool CloseSession(const std::string& connection_name);

  TicketStore& tickets() { return tickets_; }
  CallWatch& watch() { return watch_; }
  Activity& activity() { return activity_; }
  const Activity& activity() const { return activity_; }
  SessionRegistry& sessions() { return sessions_; }
  PreparedStore& prepared() { return prepared_; }
  PollStore& polls() { return polls_; }

  // The most that a statement may take from now on, until its last row is computed; then it ends with
  // kDeadlineExceeded. 0, as at the start: no limit. The time it waits for its connection doesn't count.
  void SetStatementTimeout(std::chrono::milliseconds most) { statement_timeout_.store(most); }

  // No new statements from now on (kUnavailable).
  void Drain() { draining_.store(true); }
  bool draining() const { return draining_.load(); }

 private:
  using Limit = std::shared_ptr<TimeLimit>;
  // Does `run` on the connection that the caller wants, for as long as the operator allows.
  template <typename T>
  using Run = std::function<base::Result<T>(ConnectionLease&, const Limit&)>;
  template <typename T>
  base::Result<T> On(const Caller& caller, const Run<T>& run, std::chrono::milliseconds most);
  template <typename T>
  base::Result<T> On(const Caller& caller, const Run<T>& run) {
    return On<T>(caller, run, statement_timeout_.load());
  }
  using Open = std::function<base::Result<std::unique_ptr<engine::ResultStream>>(engine::Connection&)>;
  base::Result<std::shared_ptr<OpenResult>> OpenOn(const Caller& caller, const Open& open);
  void SweepLoop();
  // Until things may have to be dropped.
  std::chrono::seconds UntilNextSweep() const;

  const base::Clock& clock_;
  const std::function<void()> meanwhile_;
  Activity activity_;
  SessionRegistry sessions_;
  CallWatch watch_;      // open results use it
  TaskThreads threads_;  // their tasks use what stands above
  TicketStore tickets_;
  PreparedStore prepared_;
  PollStore polls_;  // what it runs uses what stands above
  std::atomic<bool> draining_{false};
  std::atomic<std::chrono::milliseconds> statement_timeout_{std::chrono::milliseconds(0)};

  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread sweeper_;
};

}  // namespace pondpilot::worker::session
