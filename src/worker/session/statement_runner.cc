#include "worker/session/statement_runner.h"

#include <algorithm>
#include <utility>

namespace pondpilot::worker::session {
namespace {

using base::Result;

class ProgressMark {
 public:
  ProgressMark(StatementProgress* progress, engine::Connection& connection) : progress_(progress) {
    if (progress_ != nullptr) progress_->Started(connection);
  }
  ~ProgressMark() {
    if (progress_ != nullptr) progress_->Ended();
  }
  ProgressMark(const ProgressMark&) = delete;
  ProgressMark& operator=(const ProgressMark&) = delete;

 private:
  StatementProgress* progress_;
};

}  // namespace

StatementRunner::StatementRunner(engine::Engine& engine, const base::Clock& clock,
                                 std::function<void()> meanwhile)
    : clock_(clock),
      meanwhile_(std::move(meanwhile)),
      activity_(clock),
      sessions_(engine, clock),
      watch_(meanwhile_),
      tickets_(clock),
      prepared_(clock),
      polls_(clock, threads_),
      sweeper_(&StatementRunner::SweepLoop, this) {}

StatementRunner::~StatementRunner() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  sweeper_.join();
}

template <typename T>
Result<T> StatementRunner::On(const Caller& caller, const Run<T>& run, std::chrono::milliseconds most) {
  if (draining()) {
    return base::Fail(base::ErrorCode::kUnavailable,
                      "This worker is being stopped; run the statement again.");
  }
  auto session = caller.alone ? sessions_.Alone() : sessions_.Get(caller.connection_name);
  if (!session) return std::unexpected(session.error());
  const Activity::Running running(activity_);  // also while it waits for its connection
  auto lease = (*session)->Acquire(caller.use, caller.deadline, caller.gone);
  if (!lease) return std::unexpected(lease.error());
  const auto limit = std::make_shared<TimeLimit>(clock_, most);
  const CallWatch::Guard guard(
      watch_, [&] { return caller.gone() || limit->Check(); },
      [connection = &lease->connection()] { connection->Interrupt(); });
  const ProgressMark progress(caller.progress, lease->connection());
  auto result = run(*lease, limit);
  if (!result) result.error() = limit->Explain(std::move(result.error()));
  return result;
}

Result<std::shared_ptr<OpenResult>> StatementRunner::OpenOn(const Caller& caller, const Open& open) {
  auto result = On<std::shared_ptr<OpenResult>>(
      caller, [&](ConnectionLease& lease, const Limit& limit) -> Result<std::shared_ptr<OpenResult>> {
        auto stream = open(lease.connection());
        if (!stream) return std::unexpected(stream.error());
        if (auto settled = lease.Settle(); !settled) return std::unexpected(settled.error());
        return std::make_shared<OpenResult>(std::move(*stream), std::move(lease), activity_,
                                            OpenResult::Watched{watch_, limit});
      });
  if (!result) return result;
  const CallWatch::Guard guard(watch_, caller.gone, [stream = result->get()] { stream->Cancel(); });
  if (caller.first_rows_wait) {
    return OpenResult::PrefetchWithin(std::move(*result), threads_, *caller.first_rows_wait,
                                      caller.first_rows_deadline);
  }
  const Activity::Running running(activity_);
  if (auto fetched = (*result)->Prefetch(); !fetched) return std::unexpected(fetched.error());
  return result;
}

Result<std::shared_ptr<OpenResult>> StatementRunner::Execute(const Caller& caller, std::string_view sql) {
  return OpenOn(caller,
                [&](engine::Connection& connection) { return connection.Execute(sql, caller.types); });
}

Result<std::shared_ptr<OpenResult>> StatementRunner::ExecuteWith(const Caller& caller, std::string_view sql,
                                                                 const engine::ParameterRows& values) {
  return OpenOn(caller, [&](engine::Connection& connection) { return connection.ExecuteWith(sql, values); });
}

Result<std::shared_ptr<OpenChunks>> StatementRunner::ExecuteChunks(const Caller& caller, std::string_view sql,
                                                                   engine::ChunkVersion version,
                                                                   uint64_t batch_chunks) {
  return On<std::shared_ptr<OpenChunks>>(
      caller, [&](ConnectionLease& lease, const Limit& limit) -> Result<std::shared_ptr<OpenChunks>> {
        auto stream = lease.connection().ExecuteChunks(sql, version, batch_chunks);
        if (!stream) return std::unexpected(stream.error());
        if (auto settled = lease.Settle(); !settled) return std::unexpected(settled.error());
        return std::make_shared<OpenChunks>(std::move(*stream), std::move(lease), activity_, watch_, limit);
      });
}

Result<int64_t> StatementRunner::InsertChunks(const Caller& caller, std::string_view sql,
                                              const std::vector<std::string_view>& chunks) {
  return On<int64_t>(caller, [&](ConnectionLease& lease, const Limit&) -> Result<int64_t> {
    auto rows = lease.connection().InsertChunks(sql, chunks);
    if (!rows) return rows;
    if (auto settled = lease.Settle(); !settled) return std::unexpected(settled.error());
    return rows;
  });
}

Result<engine::Description> StatementRunner::Describe(const Caller& caller, std::string_view sql) {
  return On<engine::Description>(caller, [&](ConnectionLease& lease, const Limit&) {
    return lease.connection().Describe(sql, caller.types);
  });
}

Result<int64_t> StatementRunner::Ingest(const Caller& caller, const engine::IngestTarget& target,
                                        engine::RowSource& source) {
  return On<int64_t>(caller, [&](ConnectionLease& lease, const Limit&) -> Result<int64_t> {
    auto rows = lease.connection().Ingest(target, source);
    if (!rows) return rows;
    if (auto settled = lease.Settle(); !settled) return std::unexpected(settled.error());
    return rows;
  });
}

Result<int64_t> StatementRunner::Change(const Caller& caller, const engine::TableChange& change,
                                        engine::RowSource& source, const engine::BatchSink& returned) {
  return On<int64_t>(caller, [&](ConnectionLease& lease, const Limit&) {
    return lease.connection().Change(change, source, returned);
  });
}

Result<std::vector<std::string>> StatementRunner::TypeNames(const Caller& caller,
                                                            const std::shared_ptr<arrow::Schema>& schema) {
  return On<std::vector<std::string>>(
      caller, [&](ConnectionLease& lease, const Limit&) { return lease.connection().TypeNames(schema); });
}

Result<engine::CatalogAnswer> StatementRunner::Look(const Caller& caller,
                                                    const engine::CatalogQuestion& question) {
  return On<engine::CatalogAnswer>(
      caller, [&](ConnectionLease& lease, const Limit&) { return lease.connection().Look(question); });
}

Result<std::string> StatementRunner::Begin(const Caller& caller) {
  return On<std::string>(caller, [&](ConnectionLease& lease, const Limit&) -> Result<std::string> {
    if (auto begun = lease.connection().Begin(); !begun) return std::unexpected(begun.error());
    auto handle = lease.NameTransaction();
    if (handle) return handle;
    if (const auto ended = lease.connection().End(false); !ended) return std::unexpected(ended.error());
    return handle;
  });
}

Result<void> StatementRunner::End(const Caller& caller, bool commit) {
  auto session = sessions_.Get(caller.connection_name);
  if (!session) return std::unexpected(session.error());
  const std::string& handle = caller.use.transaction;
  const engine::Connection* connection =
      commit ? (*session)->FindTransaction(handle) : (*session)->InterruptTransaction(handle);
  if (connection != nullptr) tickets_.Release(connection, !commit);
  // Without a limit: what is to end must be able to.
  return On<void>(
      caller, [&](ConnectionLease& lease, const Limit&) { return lease.connection().End(commit); },
      std::chrono::milliseconds(0));
}

Result<void> StatementRunner::Spoil(const Caller& caller) {
  return On<void>(
      caller, [](ConnectionLease& lease, const Limit&) { return lease.connection().Spoil(); },
      std::chrono::milliseconds(0));
}

bool StatementRunner::CloseSession(const std::string& connection_name) {
  prepared_.CloseSession(connection_name);
  return sessions_.Close(connection_name);
}

std::chrono::seconds StatementRunner::UntilNextSweep() const {
  constexpr std::chrono::seconds kSoon(1);
  // What comes after a look lives on until the next one at least. What else expires does so after many
  // minutes of idleness and may wait for it.
  constexpr std::chrono::seconds kSeldom = std::min(TicketStore::kLife, PollStore::kLife);
  const bool soon = tickets_.size() > 0 || polls_.size() > 0 || sessions_.Count().open_transactions > 0;
  return soon ? kSoon : kSeldom;
}

void StatementRunner::SweepLoop() {
  std::unique_lock lock(mutex_);
  // Idle workers are many, and sleep.
  while (!stop_.wait_for(lock, UntilNextSweep(), [this] { return stopping_; })) {
    lock.unlock();
    tickets_.Sweep();
    sessions_.Sweep();
    prepared_.Sweep();
    polls_.Sweep();
    meanwhile_();
    lock.lock();
  }
}

}  // namespace pondpilot::worker::session
