#pragma once

#include <string>
#include <vector>

#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {

// The columns as a reader of this version knows them, and how chunks are written for it.
class WrittenChunksState final : public duckdb::ResultFormatGlobalState {
 public:
  WrittenChunksState(const duckdb::ResultFormatContext& context, ChunkVersion version);

  const std::vector<ChunkStream::Column>& columns() const { return columns_; }
  const duckdb::vector<duckdb::LogicalType>& types() const { return types_; }
  const duckdb::SerializationOptions& options() const { return options_; }
  // Do values have to be cast to types that the reader knows?
  bool casts() const { return casts_; }

 private:
  duckdb::vector<duckdb::LogicalType> types_;
  duckdb::SerializationOptions options_;
  std::vector<ChunkStream::Column> columns_;
  bool casts_ = false;
};

// A result format of DuckDB's: rows leave its threads as serialized chunks, so that serializing is done by as
// many threads as the query has.
class WrittenChunks final : public duckdb::ResultFormatBase<WrittenChunks> {
 public:
  using T = ChunkBatch;
  using GlobalState = WrittenChunksState;
  static constexpr const char* NAME = "pondpilot_chunks";

  // A unit has at most so many chunks.
  WrittenChunks(ChunkVersion version, uint64_t unit_chunks) : version_(version), unit_chunks_(unit_chunks) {}

  const char* Name() const override { return NAME; }
  duckdb::unique_ptr<duckdb::ResultFormatGlobalState> InitGlobal(
      const duckdb::ResultFormatContext& context) override;
  duckdb::unique_ptr<duckdb::ResultFormatLocalState> InitLocal(
      duckdb::ResultFormatGlobalState& global) override;
  void AppendToUnit(duckdb::ResultFormatGlobalState& global, duckdb::ResultFormatLocalState& local,
                    duckdb::DataChunk& chunk) override;
  bool IsUnitFinished(duckdb::ResultFormatLocalState& local) override;
  duckdb::unique_ptr<duckdb::ResultUnit> FinishUnit(duckdb::ResultFormatGlobalState& global,
                                                    duckdb::ResultFormatLocalState& local) override;

  static duckdb::unique_ptr<ChunkBatch> UnpackUnit(duckdb::unique_ptr<duckdb::ResultUnit> unit);

 private:
  const ChunkVersion version_;
  const uint64_t unit_chunks_;
};

}  // namespace pondpilot::worker::engine
