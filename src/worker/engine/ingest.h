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

// Adds the table function that INSERTs of ours read a BatchSource through. A tenant can name it, and is told
// that it is of no use to them: it takes its batches from the statement's tree, which SQL text can't hold.
// Once, before the functions of Arrow are removed. Throws what DuckDB throws.
void AddIngestFunction(duckdb::Connection& own);

}  // namespace pondpilot::worker::engine
