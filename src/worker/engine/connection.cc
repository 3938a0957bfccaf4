#include "worker/engine/connection.h"

#include "base/text.h"
#include "worker/engine/duckdb_engine.h"
#include "worker/engine/errors.h"
#include "worker/engine/result_stream.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

// May rows be computed as the client reads them? Only for statements that change nothing: one that is
// abandoned before its end is rolled back, and a write must be done when the client is told so.
bool Streams(duckdb::StatementType written, const duckdb::QueryResult& result) {
  if (duckdb::StreamsByDefault(written, result, false)) return true;
  return written == duckdb::StatementType::EXECUTE_STATEMENT && result.MetadataAvailable() &&
         result.GetStatementProperties().return_type == duckdb::StatementReturnType::QUERY_RESULT &&
         result.GetStatementProperties().IsReadOnly();
}

}  // namespace

DuckDbConnection::DuckDbConnection(DuckDbEngine& engine, std::shared_ptr<duckdb::Connection> connection)
    : engine_(engine), connection_(std::move(connection)) {}

Result<std::unique_ptr<ResultStream>> DuckDbConnection::Execute(std::string_view sql) {
  if (!base::IsUtf8(sql)) return Fail(ErrorCode::kInvalidArgument, "The SQL text is not valid UTF-8.");
  if (base::Trim(sql).empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "The SQL text is empty. Send a statement, for example SELECT 42.");
  }
  if (executing_.exchange(true)) {
    return Fail(ErrorCode::kFailedPrecondition, "The connection is busy with another statement.");
  }
  interrupted_.store(false);
  engine_.MakeRoom();
  Result<std::unique_ptr<ResultStream>> result;
  {
    const CallGate::Inside inside(*gate_);
    result = Run(sql);
  }
  executing_.store(false);
  if (!result) {
    // What DuckDB reports after an interrupt depends on where it was; the caller is told what happened.
    if (interrupted_.load() && result.error().code != ErrorCode::kPermissionDenied) {
      return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
    }
    engine_.NoteError(result.error());
    engine_.ExplainMissingDatabase(sql, result.error());
  }
  return result;
}

Result<std::unique_ptr<ResultStream>> DuckDbConnection::Run(std::string_view sql) {
  try {
    auto statements = connection_->ExtractStatements(std::string(sql));
    if (statements.empty()) {
      return Fail(ErrorCode::kInvalidArgument, "The SQL text holds no statement, only blanks or comments.");
    }
    // All of them first: nothing runs of a text that is refused in part.
    for (const auto& statement : statements) {
      if (const auto allowed = engine_.policy().Check(*statement); !allowed)
        return std::unexpected(allowed.error());
    }
    for (size_t i = 0; i + 1 < statements.size(); ++i) {
      const auto ran = RunOne(std::move(statements[i]), false);
      if (!ran) return std::unexpected(ran.error());
      if (interrupted_.load()) return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
    }
    return RunOne(std::move(statements.back()), true);
  } catch (const std::exception& thrown) {
    duckdb::ErrorData error(thrown);
    error.AddErrorLocation(std::string(sql));
    return std::unexpected(ToError(error));
  }
}

Result<std::unique_ptr<ResultStream>> DuckDbConnection::RunOne(
    duckdb::unique_ptr<duckdb::SQLStatement> statement, bool last) {
  const duckdb::StatementType written = statement->type;
  const bool leaves_state = LeavesSessionState(*statement);
  auto submitted =
      connection_->Submit(std::move(statement),
                          duckdb::QueryParameters(duckdb::make_shared_ptr<duckdb::ArrowFormat>(kBatchRows)));
  if (submitted->HasError()) return std::unexpected(ToError(submitted->GetErrorObject()));
  // DuckDB forgets an interrupt that came before the statement started.
  if (interrupted_.load()) return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
  const auto rows = !last                          ? DuckDbStream::Rows::kForgotten
                    : Streams(written, *submitted) ? DuckDbStream::Rows::kAsRead
                                                   : DuckDbStream::Rows::kKept;
  auto stream = DuckDbStream::Open({connection_, gate_, &engine_}, std::move(submitted), rows);
  if (!stream) return std::unexpected(stream.error());
  if (leaves_state) has_state_.store(true);
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

bool DuckDbConnection::HasState() const { return has_state_.load() || InTransaction(); }

}  // namespace pondpilot::worker::engine
