#include "worker/engine/bound_statement.h"

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <algorithm>

#include "telemetry/log.h"
#include "worker/engine/connection.h"
#include "worker/engine/deep_stack.h"
#include "worker/engine/errors.h"
#include "worker/engine/kept_statements.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

std::string Counted(size_t number, const char* what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

bool IsNumber(const std::string& name) {
  return std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

// What a statement with no rows of values yields: it runs no times.
Result<std::unique_ptr<ResultStream>> NoTimes(const BoundStatement& statement) {
  if (!statement.is_query()) return KeptStream::OfCount(0);
  return Fail(ErrorCode::kInvalidArgument,
              "No values were sent for the parameters of the query, which runs once for each row of them. "
              "Bind a row of values first.");
}

}  // namespace

Result<std::unique_ptr<BoundStatement>> BoundStatement::Make(
    StreamSource source, std::string sql, duckdb::unique_ptr<duckdb::PreparedStatement> prepared,
    const ParameterRows& values) {
  std::unique_ptr<BoundStatement> out(new BoundStatement());
  out->source_ = std::move(source);
  out->sql_ = std::move(sql);
  out->prepared_ = std::move(prepared);
  auto& context = *out->source_.connection->context;
  if (auto matched = out->MatchColumns(*values.schema); !matched) return std::unexpected(matched.error());
  auto schema = AcceptSchema(context, values.schema);
  if (!schema) return std::unexpected(schema.error());
  for (const auto& sent : values.batches) {
    if (sent->num_rows() == 0) continue;
    // A column of NULLs takes no bytes, however many they are.
    if (sent->num_rows() > kMaxParameterRows - out->rows_) {
      return Fail(ErrorCode::kResourceExhausted,
                  "There are more than " + std::to_string(kMaxParameterRows) +
                      " rows of values for the parameters. Bind them in parts, or load them by ingest.");
    }
    auto batch = AcceptBatch(sent, *schema);
    if (!batch) return std::unexpected(batch.error());
    out->rows_ += (*batch)->num_rows();
    out->batches_.push_back(std::move(*batch));
  }
  out->input_ = std::make_unique<ArrowInput>(context, *schema);
  out->chunk_.Initialize(duckdb::Allocator::DefaultAllocator(), out->input_->types());
  return out;
}

BoundStatement::~BoundStatement() {
  if (!failed_ && done()) source_.statements->Put(std::move(sql_), std::move(prepared_));
}

// By name where the statement names its parameters and the columns have the names, by position otherwise.
Result<void> BoundStatement::MatchColumns(const arrow::Schema& columns) {
  std::vector<std::pair<size_t, duckdb::Identifier>> parameters;
  for (const auto& [name, index] : prepared_->GetNamedParameterMap()) parameters.emplace_back(index, name);
  std::ranges::sort(parameters, {}, [](const auto& one) { return one.first; });
  const auto wanted = parameters.size();
  if (std::cmp_not_equal(columns.num_fields(), wanted)) {
    return Fail(ErrorCode::kInvalidArgument,
                "The statement has " + Counted(wanted, "parameter") + "; values with " +
                    Counted(static_cast<size_t>(columns.num_fields()), "column") +
                    " were sent. Send one column for each parameter.");
  }
  size_t found = 0;
  for (size_t i = 0; i < wanted; ++i) {
    const duckdb::Identifier& name = parameters[i].second;
    const int at = IsNumber(name.GetIdentifierName()) ? -1 : columns.GetFieldIndex(name.GetIdentifierName());
    found += at >= 0 ? 1 : 0;
    columns_.emplace_back(name, at >= 0 ? static_cast<size_t>(at) : i);
  }
  if (found == 0 || found == wanted) return {};
  // Half by name and half by place would bind one column twice and another never.
  for (const auto& [index, name] : parameters) {
    if (columns.GetFieldIndex(name.GetIdentifierName()) >= 0) continue;
    return Fail(ErrorCode::kInvalidArgument, "No column of the values is named like the parameter $" +
                                                 name.GetIdentifierName() + ", but others are.");
  }
  return {};
}

BoundStatement::Values BoundStatement::NextValues() {
  while (batch_row_ >= batches_[batch_]->num_rows()) {
    ++batch_;
    batch_row_ = 0;
  }
  const auto in_chunk = static_cast<duckdb::idx_t>(batch_row_) % STANDARD_VECTOR_SIZE;
  if (in_chunk == 0) input_->Read(batches_[batch_], batch_row_, chunk_);
  Values values;
  for (const auto& [name, column] : columns_) {
    values[name] = duckdb::BoundParameterData(chunk_.GetValue(column, in_chunk));
  }
  ++batch_row_;
  return values;
}

Result<std::unique_ptr<DuckDbStream>> BoundStatement::RunNext(DuckDbStream::Rows kind,
                                                              const std::atomic<bool>& stopped) {
  Values values = NextValues();
  ++next_;
  failed_ = true;  // until it has run
  auto submitted = prepared_->Submit(
      values, duckdb::QueryParameters(duckdb::make_shared_ptr<duckdb::ArrowFormat>(kBatchRows)));
  if (submitted->HasError()) return std::unexpected(ToError(submitted->GetErrorObject()));
  if (stopped.load()) return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
  auto stream = DuckDbStream::Open(source_, std::move(submitted), kind);
  failed_ = !stream;
  return stream;
}

bool BoundStatement::is_query() const {
  const auto& properties = prepared_->GetStatementProperties();
  return properties.return_type == duckdb::StatementReturnType::QUERY_RESULT && properties.IsReadOnly();
}

bool BoundStatement::counts() const {
  return prepared_->GetStatementProperties().return_type == duckdb::StatementReturnType::CHANGED_ROWS;
}

// ---- Running

Result<std::unique_ptr<ResultStream>> DuckDbConnection::ExecuteWith(std::string_view sql,
                                                                    const ParameterRows& values) {
  return Call<std::unique_ptr<ResultStream>>(sql, [&]() -> Result<std::unique_ptr<ResultStream>> {
    bool leaves_state = false;
    auto prepared = statements_->Take(sql);
    if (prepared == nullptr) {
      auto statement = ParseOne(sql);
      if (!statement) return std::unexpected(statement.error());
      leaves_state = LeavesSessionState(**statement);
      if (!KeptStatements::IsPlain((*statement)->type)) statements_->Clear();
      prepared = connection_->Prepare(std::move(*statement));
      if (prepared->HasError()) return std::unexpected(ToError(prepared->GetErrorObject()));
    }
    auto bound = BoundStatement::Make(Source(), std::string(sql), std::move(prepared), values);
    if (!bound) return std::unexpected(bound.error());
    if ((*bound)->rows() == 0) return NoTimes(**bound);
    const bool own_transaction = (*bound)->rows() > 1 && connection_->IsAutoCommit();
    if (own_transaction) {
      connection_->BeginTransaction();
      own_transaction_.store(true);
    }
    auto result = RunBound(std::move(*bound), own_transaction);
    // A stream that was opened ends the transaction itself.
    if (!result && own_transaction && !connection_->IsAutoCommit()) connection_->Rollback();
    if (result && leaves_state) has_state_.store(true);
    return result;
  });
}

Result<std::unique_ptr<ResultStream>> DuckDbConnection::RunBound(std::unique_ptr<BoundStatement> bound,
                                                                 bool own_transaction) {
  if (bound->is_query()) {
    auto first = bound->RunNext(DuckDbStream::Rows::kAsRead, interrupted_);
    if (!first) return std::unexpected(first.error());
    return std::make_unique<BoundStream>(std::move(bound), std::move(*first), own_transaction);
  }
  int64_t changed = 0;
  std::shared_ptr<arrow::Schema> schema;
  std::deque<std::shared_ptr<arrow::RecordBatch>> kept;
  while (!bound->done()) {
    auto stream = bound->RunNext(DuckDbStream::Rows::kKept, interrupted_);
    if (!stream) return std::unexpected(stream.error());
    schema = (*stream)->schema();
    if (bound->counts()) {
      changed += CountOf(**stream);
      continue;
    }
    while (auto batch = (*stream)->NextKept()) kept.push_back(std::move(batch));
  }
  const bool counts = bound->counts();
  bound.reset();
  if (own_transaction) connection_->Commit();
  if (counts) return KeptStream::OfCount(changed);
  return std::make_unique<KeptStream>(std::move(schema), std::move(kept));
}

// ---- Streams

BoundStream::BoundStream(std::unique_ptr<BoundStatement> statement, std::unique_ptr<DuckDbStream> first,
                         bool own_transaction)
    : statement_(std::move(statement)),
      schema_(first->schema()),
      own_transaction_(own_transaction),
      current_(std::move(first)) {}

BoundStream::~BoundStream() {
  current_.reset();
  OnDeepStackOrOwn([this] {
    if (!ended_) RollBack();
    statement_.reset();
  });
}

Result<void> BoundStream::Commit() {
  ended_ = true;
  if (!own_transaction_) return {};
  try {
    statement_->source().connection->Commit();
  } catch (const std::exception& thrown) {
    return std::unexpected(ToError(thrown));
  }
  return {};
}

void BoundStream::RollBack() {
  ended_ = true;
  if (!own_transaction_) return;
  auto& connection = *statement_->source().connection;
  try {
    if (!connection.IsAutoCommit()) connection.Rollback();
  } catch (const std::exception& thrown) {
    telemetry::Log(telemetry::Level::kWarn, "A transaction could not be rolled back",
                   {{"reason", ToError(thrown).message}});
  }
}

std::unexpected<base::Error> BoundStream::Broken(base::Error error) {
  {
    const std::lock_guard lock(mutex_);
    current_.reset();
    if (cancelled_.load()) error = {ErrorCode::kCancelled, "The statement was cancelled.", "", {}};
  }
  RollBack();
  return std::unexpected(std::move(error));
}

bool BoundStream::Advance(std::chrono::steady_clock::time_point until) {
  if (ended_) return true;
  // After the last row of these values, Next runs the statement with others.
  return statement_->done() && current_->Advance(until);
}

Result<std::shared_ptr<arrow::RecordBatch>> BoundStream::Next() {
  while (!ended_) {
    auto batch = current_->Next();
    if (!batch) return Broken(batch.error());
    if (*batch != nullptr) return batch;
    if (statement_->done()) {
      if (auto ended = Commit(); !ended) return std::unexpected(ended.error());
      // Kept for the next one before somebody else has the connection.
      {
        const std::lock_guard lock(mutex_);
        current_.reset();
      }
      OnDeepStackOrOwn([this] { statement_.reset(); });
      break;
    }
    Result<std::unique_ptr<DuckDbStream>> next;
    {
      const CallGate::Inside inside(*statement_->source().gate);
      const bool ran = OnDeepStack([&] {
        try {
          next = statement_->RunNext(DuckDbStream::Rows::kAsRead, cancelled_);
        } catch (const std::exception& thrown) {
          next = std::unexpected(ToError(thrown));
        }
      });
      if (!ran) next = std::unexpected(NoRoomToRun());
    }
    if (!next) return Broken(next.error());
    if (!(*next)->schema()->Equals(*schema_)) {
      return Broken({ErrorCode::kInvalidArgument,
                     "The query's columns have other types for later rows of values than for the first. "
                     "Cast the parameters, as in $1::BIGINT, or run it for each row apart.",
                     "",
                     {}});
    }
    const std::lock_guard lock(mutex_);
    current_ = std::move(*next);
    if (cancelled_.load()) current_->Cancel();
  }
  return nullptr;
}

void BoundStream::Cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_.store(true);
  if (current_ != nullptr) current_->Cancel();
}

int64_t CountOf(DuckDbStream& stream) {
  int64_t count = 0;
  while (const auto batch = stream.NextKept()) {
    if (batch->num_columns() != 1 || batch->column(0)->type_id() != arrow::Type::INT64) continue;
    const auto& counts = static_cast<const arrow::Int64Array&>(*batch->column(0));
    for (int64_t i = 0; i < counts.length(); ++i) count += counts.Value(i);
  }
  return count;
}

std::unique_ptr<KeptStream> KeptStream::OfCount(int64_t changed) {
  auto schema = arrow::schema({arrow::field("Count", arrow::int64())});
  auto column = arrow::MakeArrayFromScalar(arrow::Int64Scalar(changed), 1, arrow::system_memory_pool());
  if (!column.ok())
    return std::make_unique<KeptStream>(schema, std::deque<std::shared_ptr<arrow::RecordBatch>>{});
  return std::make_unique<KeptStream>(schema, std::deque<std::shared_ptr<arrow::RecordBatch>>{
                                                  arrow::RecordBatch::Make(schema, 1, {*column})});
}

Result<std::shared_ptr<arrow::RecordBatch>> KeptStream::Next() {
  if (batches_.empty()) return nullptr;
  auto batch = std::move(batches_.front());
  batches_.pop_front();
  return batch;
}

}  // namespace pondpilot::worker::engine
