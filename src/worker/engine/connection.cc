#include "worker/engine/connection.h"

#include <duckdb/parser/parsed_data/transaction_info.hpp>
#include <duckdb/parser/statement/transaction_statement.hpp>

#include "base/text.h"
#include "worker/engine/arrow_schema.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

bool IsCommit(const duckdb::SQLStatement& statement) {
  return statement.type == duckdb::StatementType::TRANSACTION_STATEMENT &&
         statement.Cast<duckdb::TransactionStatement>().info->type == duckdb::TransactionType::COMMIT;
}

}  // namespace

bool Streams(duckdb::StatementType written, const duckdb::QueryResult& result) {
  if (duckdb::StreamsByDefault(written, result, false)) return true;
  return written == duckdb::StatementType::EXECUTE_STATEMENT && result.MetadataAvailable() &&
         result.GetStatementProperties().return_type == duckdb::StatementReturnType::QUERY_RESULT &&
         result.GetStatementProperties().IsReadOnly();
}

DuckDbConnection::DuckDbConnection(DuckDbEngine& engine, std::shared_ptr<duckdb::Connection> connection)
    : engine_(engine),
      connection_(std::move(connection)),
      gate_(std::make_shared<CallGate>(engine.follow_up().users(),
                                       [raw = connection_.get()] { return raw->HasActiveTransaction(); })) {}

DuckDbConnection::~DuckDbConnection() {
  OnDeepStackOrOwn([this] { statements_->Clear(); });
}

Result<DuckDbConnection::Statements> DuckDbConnection::Parse(std::string_view sql) {
  if (!base::IsUtf8(sql)) return Fail(ErrorCode::kInvalidArgument, "The SQL text is not valid UTF-8.");
  if (base::Trim(sql).empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "The SQL text is empty. Send a statement, for example SELECT 42.");
  }
  auto statements = connection_->ExtractStatements(std::string(sql));
  if (statements.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "The SQL text holds no statement, only blanks or comments.");
  }
  // All of them first: nothing runs of a text that is refused in part.
  for (const auto& statement : statements) {
    if (const auto allowed = engine_.policy().Check(*statement); !allowed)
      return std::unexpected(allowed.error());
  }
  return statements;
}

Result<duckdb::unique_ptr<duckdb::SQLStatement>> DuckDbConnection::ParseOne(std::string_view sql) {
  auto statements = Parse(sql);
  if (!statements) return std::unexpected(statements.error());
  if (statements->size() != 1) {
    return Fail(ErrorCode::kInvalidArgument,
                "The text holds " + std::to_string(statements->size()) +
                    " statements; with values for parameters it must be one. Send them one by one.");
  }
  return std::move(statements->front());
}

Result<duckdb::unique_ptr<duckdb::SQLStatement>> DuckDbConnection::RunUpToLast(std::string_view sql) {
  auto statements = Parse(sql);
  if (!statements) return std::unexpected(statements.error());
  for (size_t i = 0; i + 1 < statements->size(); ++i) {
    const auto ran = RunOne(std::move((*statements)[i]), false);
    if (!ran) return std::unexpected(ran.error());
    if (interrupted_.load()) return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
  }
  return std::move(statements->back());
}

Result<std::unique_ptr<ResultStream>> DuckDbConnection::Execute(std::string_view sql, Types types) {
  return Call<std::unique_ptr<ResultStream>>(sql, [&]() -> Result<std::unique_ptr<ResultStream>> {
    auto last = RunUpToLast(sql);
    if (!last) return std::unexpected(last.error());
    return RunOne(std::move(*last), true, types);
  });
}

Result<std::unique_ptr<ChunkStream>> DuckDbConnection::ExecuteChunks(std::string_view sql,
                                                                     ChunkVersion version,
                                                                     uint64_t batch_chunks) {
  return Call<std::unique_ptr<ChunkStream>>(sql, [&]() -> Result<std::unique_ptr<ChunkStream>> {
    auto last = RunUpToLast(sql);
    if (!last) return std::unexpected(last.error());
    auto submitted =
        Submit(std::move(*last), true, duckdb::make_shared_ptr<WrittenChunks>(version, batch_chunks));
    if (!submitted) return std::unexpected(submitted.error());
    auto stream = DuckDbChunkStream::Open(Source(), std::move(submitted->result), submitted->rows);
    if (!stream) return std::unexpected(stream.error());
    if (submitted->leaves_state) has_state_.store(true);
    return std::move(*stream);
  });
}

Result<DuckDbConnection::Submitted> DuckDbConnection::Submit(
    duckdb::unique_ptr<duckdb::SQLStatement> statement, bool last,
    duckdb::shared_ptr<duckdb::ResultFormat> format) {
  const duckdb::StatementType written = statement->type;
  Submitted out;
  out.leaves_state = LeavesSessionState(*statement);
  if (!KeptStatements::IsPlain(written)) statements_->Clear();
  if (IsCommit(*statement)) {
    if (auto failed = RollBackFailed(); !failed) return std::unexpected(failed.error());
  }
  out.result = connection_->Submit(std::move(statement), duckdb::QueryParameters(std::move(format)));
  if (out.result->HasError()) return std::unexpected(ToError(out.result->GetErrorObject()));
  // DuckDB forgets an interrupt that came before the statement started.
  if (interrupted_.load()) return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
  out.rows = !last                           ? StreamRows::kForgotten
             : Streams(written, *out.result) ? StreamRows::kAsRead
                                             : StreamRows::kKept;
  return out;
}

Result<std::unique_ptr<DuckDbStream>> DuckDbConnection::RunOne(
    duckdb::unique_ptr<duckdb::SQLStatement> statement, bool last, Types types) {
  auto submitted = Submit(std::move(statement), last, FormatOf(types));
  if (!submitted) return std::unexpected(submitted.error());
  auto stream = DuckDbStream::Open(Source(), std::move(submitted->result), submitted->rows, types);
  if (!stream) return std::unexpected(stream.error());
  if (submitted->leaves_state) has_state_.store(true);
  return std::move(*stream);
}

void DuckDbConnection::Interrupt() {
  if (!executing_.load()) return;
  interrupted_.store(true);
  connection_->Interrupt();
  engine_.follow_up().Watch(gate_, connection_);
}

bool DuckDbConnection::InTransaction() const {
  return !connection_->IsAutoCommit() && connection_->HasActiveTransaction();
}

bool DuckDbConnection::HasState() const {
  return has_state_.load() || (InTransaction() && !own_transaction_.load());
}

Result<void> DuckDbConnection::Begin() {
  return Call<void>("BEGIN", [&]() -> Result<void> {
    connection_->BeginTransaction();
    own_transaction_.store(true);
    return {};
  });
}

// DuckDB takes a COMMIT of a transaction that has failed for a ROLLBACK, and says nothing.
Result<void> DuckDbConnection::RollBackFailed() {
  if (!connection_->HasActiveTransaction()) return {};
  auto& transaction = duckdb::MetaTransaction::Get(*connection_->context);
  if (!duckdb::ValidChecker::IsInvalidated(transaction)) return {};
  connection_->Rollback();
  return Fail(ErrorCode::kAborted,
              "The transaction was rolled back instead of committed, because a statement in it has failed. "
              "Begin it again.");
}

Result<void> DuckDbConnection::End(bool commit) {
  auto ended = Call<void>(
      commit ? "COMMIT" : "ROLLBACK",
      [&]() -> Result<void> {
        if (commit) {
          if (auto failed = RollBackFailed(); !failed) return failed;
          connection_->Commit();
        } else {
          connection_->Rollback();
        }
        return {};
      },
      Kind::kEnd);
  if (ended || !InTransaction()) own_transaction_.store(false);
  return ended;
}

Result<void> DuckDbConnection::Spoil() {
  return Call<void>(
      "",
      [&]() -> Result<void> {
        SpoilTransaction();
        return {};
      },
      Kind::kEnd);
}

void DuckDbConnection::TrackProgress() {
  auto& config = duckdb::ClientConfig::GetConfig(*connection_->context);
  config.enable_progress_bar = true;
  config.print_progress_bar = false;
}

double DuckDbConnection::Progress() const { return connection_->GetQueryProgress(); }

}  // namespace pondpilot::worker::engine
