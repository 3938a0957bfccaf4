#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "worker/engine/bound_statement.h"
#include "worker/engine/call_gate.h"
#include "worker/engine/chunk_stream.h"
#include "worker/engine/deep_stack.h"
#include "worker/engine/duckdb_engine.h"
#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"
#include "worker/engine/errors.h"
#include "worker/engine/ingest.h"
#include "worker/engine/kept_statements.h"
#include "worker/engine/result_stream.h"
#include "worker/engine/statement_policy.h"

namespace pondpilot::worker::engine {

// May rows be computed as the client reads them? Only for statements that change nothing: one that is
// abandoned before its end is rolled back, and a write must be done when the client is told so.
bool Streams(duckdb::StatementType written, const duckdb::QueryResult& result);

class DuckDbConnection final : public Connection {
 public:
  // `engine` must outlive the connection.
  DuckDbConnection(DuckDbEngine& engine, std::shared_ptr<duckdb::Connection> connection);
  ~DuckDbConnection() override;
  DuckDbConnection(const DuckDbConnection&) = delete;
  DuckDbConnection& operator=(const DuckDbConnection&) = delete;

  base::Result<std::unique_ptr<ResultStream>> Execute(std::string_view sql, Types types) override;
  base::Result<std::unique_ptr<ResultStream>> ExecuteWith(std::string_view sql,
                                                          const ParameterRows& values) override;
  base::Result<std::unique_ptr<ChunkStream>> ExecuteChunks(std::string_view sql, ChunkVersion version,
                                                           uint64_t batch_chunks) override;
  base::Result<int64_t> InsertChunks(std::string_view sql,
                                     const std::vector<std::string_view>& chunks) override;
  base::Result<Description> Describe(std::string_view sql, Types types) override;
  base::Result<int64_t> Ingest(const IngestTarget& target, RowSource& source) override;
  base::Result<int64_t> Change(const TableChange& change, RowSource& source,
                               const BatchSink& returned) override;
  base::Result<std::vector<std::string>> TypeNames(const std::shared_ptr<arrow::Schema>& schema) override;
  base::Result<CatalogAnswer> Look(const CatalogQuestion& question) override;
  base::Result<void> Begin() override;
  base::Result<void> End(bool commit) override;
  base::Result<void> Spoil() override;
  double Progress() const override;
  void TrackProgress() override;
  void Interrupt() override;
  bool InTransaction() const override;
  bool HasState() const override;

 private:
  enum class Kind { kWork, kEnd };
  // Does `run` as the connection's one call: nothing else at the same time, interruptible, watched. What
  // DuckDB throws becomes its error, with its place in `sql`. When other statements have taken all memory,
  // only what ends something is done.
  template <typename T>
  base::Result<T> Call(std::string_view sql, const std::function<base::Result<T>()>& run,
                       Kind kind = Kind::kWork);

  using Statements = duckdb::vector<duckdb::unique_ptr<duckdb::SQLStatement>>;
  // The statements of a text, all of which the policy allows; at least one.
  base::Result<Statements> Parse(std::string_view sql);
  // The same for a text that must be a single statement.
  base::Result<duckdb::unique_ptr<duckdb::SQLStatement>> ParseOne(std::string_view sql);
  // Runs all statements of a text but the last, which it gives.
  base::Result<duckdb::unique_ptr<duckdb::SQLStatement>> RunUpToLast(std::string_view sql);
  // A statement that has been submitted and what becomes of its rows, for one of the kinds of streams.
  struct Submitted {
    duckdb::unique_ptr<duckdb::QueryResult> result;
    StreamRows rows = StreamRows::kAsRead;
    bool leaves_state = false;
  };
  base::Result<Submitted> Submit(duckdb::unique_ptr<duckdb::SQLStatement> statement, bool last,
                                 duckdb::shared_ptr<duckdb::ResultFormat> format);
  base::Result<std::unique_ptr<DuckDbStream>> RunOne(duckdb::unique_ptr<duckdb::SQLStatement> statement,
                                                     bool last, Types types = Types::kCommon);
  base::Result<std::unique_ptr<ResultStream>> RunBound(std::unique_ptr<BoundStatement> bound,
                                                       bool own_transaction);
  base::Result<Description> DescribeInSteps(std::string_view sql, Description description, Types types);
  base::Result<int64_t> IngestRows(const IngestTarget& target, RowSource& source,
                                   const std::shared_ptr<arrow::Schema>& schema, bool& wrote);
  // Runs a statement that writes. Its ingest function reads `batches`, when given.
  base::Result<std::unique_ptr<DuckDbStream>> RunWrite(const std::string& sql,
                                                       duckdb::shared_ptr<BatchSource> batches);
  // The same; gives the number of rows it says.
  base::Result<int64_t> Write(const std::string& sql, duckdb::shared_ptr<BatchSource> batches);
  // Does all of `work` or nothing of it: in a transaction of its own, or in the open one, which can only be
  // rolled back when `work` fails after it has set `wrote`.
  base::Result<int64_t> AllOrNothing(const std::function<base::Result<int64_t>(bool& wrote)>& work);
  // The next batches of a source under `accepted`, of `bytes` together or a little more; none at its end.
  base::Result<std::vector<std::shared_ptr<arrow::RecordBatch>>> Gather(
      RowSource& source, const std::shared_ptr<arrow::Schema>& accepted, int64_t bytes);
  // From here on nothing moves the table's rows until the transaction ends. Gives the base of their
  // identifiers, if anybody has any.
  std::optional<int64_t> HoldRows(const TableName& name);
  base::Result<int64_t> ChangeRows(const TableChange& change, RowSource& source,
                                   const std::shared_ptr<arrow::Schema>& schema, const BatchSink& returned,
                                   bool& wrote);
  // Before a commit: kAborted, and rolled back, when a statement of the open transaction has failed.
  base::Result<void> RollBackFailed();
  // Leaves the open transaction nothing but ROLLBACK.
  void SpoilTransaction();
  StreamSource Source() { return {connection_, gate_, statements_, &engine_}; }

  DuckDbEngine& engine_;
  std::shared_ptr<duckdb::Connection> connection_;
  std::shared_ptr<CallGate> gate_;
  std::shared_ptr<KeptStatements> statements_ = std::make_shared<KeptStatements>();
  std::atomic<bool> executing_{false};
  std::atomic<bool> interrupted_{false};
  std::atomic<bool> has_state_{false};
  // The open transaction is a handle's, or ours for the time of one call: no state of the session.
  std::atomic<bool> own_transaction_{false};
};

template <typename T>
base::Result<T> DuckDbConnection::Call(std::string_view sql, const std::function<base::Result<T>()>& run,
                                       Kind kind) {
  if (executing_.exchange(true)) {
    return base::Fail(base::ErrorCode::kFailedPrecondition, "The connection is busy with another statement.");
  }
  interrupted_.store(false);
  engine_.MakeRoom();
  base::Result<T> result;
  {
    const CallGate::Inside inside(*gate_);
    const auto guarded = [&] {
      try {
        result = run();
      } catch (const std::exception& thrown) {
        duckdb::ErrorData error(thrown);
        error.AddErrorLocation(std::string(sql));
        result = std::unexpected(ToError(error));
      }
    };
    if (kind == Kind::kEnd) {
      OnDeepStackOrOwn(guarded);
    } else if (!OnDeepStack(guarded)) {
      result = std::unexpected(NoRoomToRun());
    }
  }
  executing_.store(false);
  if (!result) {
    // What DuckDB reports after an interrupt depends on where it was; the caller is told what happened.
    if (interrupted_.load() && result.error().code != base::ErrorCode::kPermissionDenied) {
      return base::Fail(base::ErrorCode::kCancelled, "The statement was cancelled.");
    }
    engine_.NoteError(result.error());
    engine_.ExplainMissingDatabase(sql, result.error());
  }
  return result;
}

}  // namespace pondpilot::worker::engine
