#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <vector>

#include "worker/engine/duckdb_headers.h"

namespace pondpilot::worker::engine {

// Batches that one INSERT reads: AcceptBatch has let them in.
class BatchSource final : public duckdb::ArrowScanFactory {
 public:
  BatchSource(std::shared_ptr<arrow::Schema> schema, std::vector<std::shared_ptr<arrow::RecordBatch>> batches)
      : schema_(std::move(schema)), batches_(std::move(batches)) {}

  void GetSchema(ArrowSchema& schema) override;
  duckdb::unique_ptr<duckdb::ArrowArrayStreamWrapper> ProduceStream(
      duckdb::ArrowStreamParameters& parameters) override;

 private:
  std::shared_ptr<arrow::Schema> schema_;
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches_;
};

// Statements of ours read a BatchSource through this table function (of system.main). A tenant can name it,
// and is told that it is of no use to them: it takes its batches from the statement's tree, which SQL text
// can't hold.
inline constexpr char kIngestFunction[] = "pondpilot_ingest";

// Where the function stands in an INSERT … SELECT, an UPDATE … FROM or a DELETE … USING of ours.
duckdb::TableFunctionRef& IngestFunctionOf(duckdb::SQLStatement& statement);

// What is gathered before it is written: large enough for DuckDB to use its threads, small enough for memory.
// While it is gathered, no thread of DuckDB's waits for the client.
inline constexpr int64_t kWindowBytes = 32 << 20;

// Adds the function. Once, before the functions of Arrow are removed. Throws what DuckDB throws.
void AddIngestFunction(duckdb::Connection& own);

}  // namespace pondpilot::worker::engine
