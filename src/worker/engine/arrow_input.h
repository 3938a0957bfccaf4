#pragma once

#include <arrow/type_fwd.h>

#include <memory>

#include "base/error.h"
#include "worker/engine/duckdb_headers.h"

namespace pondpilot::worker::engine {

// Arrow data that a client has sent, on their way into DuckDB. DuckDB trusts offsets, indices and texts, so
// every batch is checked whole before it is read. Extension types are taken for what they are stored as,
// except the few whose content DuckDB checks itself: others could make values that no SQL could make.

// The schema that DuckDB reads for one that a client sent. kInvalidArgument, naming the column, for types
// that DuckDB has not.
base::Result<std::shared_ptr<arrow::Schema>> AcceptSchema(duckdb::ClientContext& context,
                                                          const std::shared_ptr<arrow::Schema>& sent);

// The batch under `accepted`, which AcceptSchema made of its schema; shares its buffers. kInvalidArgument
// when it is damaged.
base::Result<std::shared_ptr<arrow::RecordBatch>> AcceptBatch(
    const std::shared_ptr<arrow::RecordBatch>& batch, const std::shared_ptr<arrow::Schema>& accepted);

// Reads batches as DuckDB's vectors.
class ArrowInput {
 public:
  // `context` must outlive it. The schema is AcceptSchema's. Throws what DuckDB throws.
  ArrowInput(duckdb::ClientContext& context, const std::shared_ptr<arrow::Schema>& accepted);

  // The rows [from, from + DuckDB's vector size) of a batch that was accepted; the chunk's values point into
  // the batch. Throws what DuckDB throws.
  void Read(const std::shared_ptr<arrow::RecordBatch>& batch, int64_t from, duckdb::DataChunk& chunk);
  const duckdb::vector<duckdb::LogicalType>& types() { return table_.GetTypes(); }

 private:
  duckdb::ClientContext& context_;
  duckdb::ArrowTableSchema table_;
  // Kept for as long as chunks point into them.
  std::unique_ptr<duckdb::ArrowScanLocalState> state_;
  const arrow::RecordBatch* exported_ = nullptr;
};

}  // namespace pondpilot::worker::engine
