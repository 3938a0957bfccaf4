#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>

#include "worker/engine/chunk_format.h"
#include "worker/engine/result_stream.h"

namespace pondpilot::worker::engine {

// A DuckDB stream of serialized chunks. Keeps its connection alive.
class DuckDbChunkStream final : public ChunkStream {
 public:
  // Opens the stream of a statement that was submitted with WrittenChunks.
  static base::Result<std::unique_ptr<DuckDbChunkStream>> Open(
      StreamSource source, duckdb::unique_ptr<duckdb::QueryResult> submitted, StreamRows rows);
  ~DuckDbChunkStream() override;

  const std::vector<Column>& columns() const override { return columns_; }
  base::Result<std::optional<ChunkBatch>> Next() override;
  bool HoldsConnection() const override;
  void Cancel() override;

 private:
  using Stream = duckdb::QueryResultStream<WrittenChunks>;
  DuckDbChunkStream() = default;
  base::Result<std::optional<ChunkBatch>> Fetch();
  void Close();

  StreamSource source_;
  std::unique_ptr<Stream> stream_;
  std::vector<Column> columns_;
  bool knows_columns_ = false;
  std::deque<ChunkBatch> kept_;
  std::atomic<bool> cancelled_{false};
  // Guards `open_`: an interrupt must not hit the statement that comes after this one on the connection.
  mutable std::mutex mutex_;
  bool open_ = false;
};

}  // namespace pondpilot::worker::engine
