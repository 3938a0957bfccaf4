#pragma once

#include <arrow/type_fwd.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "worker/engine/arrow_input.h"
#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"
#include "worker/engine/result_stream.h"

namespace pondpilot::worker::engine {

// A prepared statement and the rows of values that it is to run with, one after the other.
class BoundStatement {
 public:
  using Values = duckdb::identifier_map_t<duckdb::BoundParameterData>;

  // kInvalidArgument when the values don't fit the statement's parameters, or are damaged. `sql` is the
  // statement's text, by which `source` keeps it when all rows have run.
  static base::Result<std::unique_ptr<BoundStatement>> Make(
      StreamSource source, std::string sql, duckdb::unique_ptr<duckdb::PreparedStatement> prepared,
      const ParameterRows& values);
  // On a deep stack, if there is one.
  ~BoundStatement();
  BoundStatement(const BoundStatement&) = delete;
  BoundStatement& operator=(const BoundStatement&) = delete;

  int64_t rows() const { return rows_; }
  // Runs it with the next row. Not after the last. kCancelled when `stopped`, which DuckDB may have missed.
  base::Result<std::unique_ptr<DuckDbStream>> RunNext(DuckDbStream::Rows kind,
                                                      const std::atomic<bool>& stopped);
  bool done() const { return next_ == rows_; }
  // Does it yield rows as they are read, and change nothing?
  bool is_query() const;
  bool counts() const;
  const StreamSource& source() const { return source_; }

 private:
  BoundStatement() = default;

  base::Result<void> MatchColumns(const arrow::Schema& columns);
  Values NextValues();

  StreamSource source_;
  std::string sql_;
  duckdb::unique_ptr<duckdb::PreparedStatement> prepared_;
  std::vector<std::pair<duckdb::Identifier, size_t>> columns_;  // the column of each parameter
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches_;
  std::unique_ptr<ArrowInput> input_;
  duckdb::DataChunk chunk_;
  size_t batch_ = 0;
  int64_t batch_row_ = 0;  // of the next values
  int64_t rows_ = 0;
  int64_t next_ = 0;
  bool failed_ = false;
};

// The rows of a query for one row of values after the other. With more than one, they are read in one
// transaction.
class BoundStream final : public ResultStream {
 public:
  // In `own_transaction` the stream ends the transaction that is open: commits it at the end, rolls it back
  // otherwise. The first row has run.
  BoundStream(std::unique_ptr<BoundStatement> statement, std::unique_ptr<DuckDbStream> first,
              bool own_transaction);
  ~BoundStream() override;

  const std::shared_ptr<arrow::Schema>& schema() const override { return schema_; }
  bool Advance(std::chrono::steady_clock::time_point until) override;
  base::Result<std::shared_ptr<arrow::RecordBatch>> Next() override;
  bool HoldsConnection() const override { return !ended_; }
  void Cancel() override;

 private:
  base::Result<void> Commit();
  void RollBack();
  std::unexpected<base::Error> Broken(base::Error error);

  std::unique_ptr<BoundStatement> statement_;
  std::shared_ptr<arrow::Schema> schema_;
  const bool own_transaction_;
  bool ended_ = false;
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;  // guards the pointer: Cancel comes from other threads
  std::unique_ptr<DuckDbStream> current_;
};

// What a statement that changes rows says about their number, from its kept rows; 0 when it says none.
int64_t CountOf(DuckDbStream& stream);

// Rows that are there already.
class KeptStream final : public ResultStream {
 public:
  KeptStream(std::shared_ptr<arrow::Schema> schema, std::deque<std::shared_ptr<arrow::RecordBatch>> batches)
      : schema_(std::move(schema)), batches_(std::move(batches)) {}

  // One row, "Count", as DuckDB itself says how many rows a statement has changed.
  static std::unique_ptr<KeptStream> OfCount(int64_t changed);

  const std::shared_ptr<arrow::Schema>& schema() const override { return schema_; }
  bool Advance(std::chrono::steady_clock::time_point) override { return true; }
  base::Result<std::shared_ptr<arrow::RecordBatch>> Next() override;
  bool HoldsConnection() const override { return false; }
  void Cancel() override {}

 private:
  std::shared_ptr<arrow::Schema> schema_;
  std::deque<std::shared_ptr<arrow::RecordBatch>> batches_;
};

}  // namespace pondpilot::worker::engine
