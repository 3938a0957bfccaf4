#include "worker/engine/chunk_stream.h"

#include <utility>

#include "worker/engine/deep_stack.h"
#include "worker/engine/duckdb_engine.h"
#include "worker/engine/errors.h"

namespace pondpilot::worker::engine {

using base::ErrorCode;
using base::Fail;
using base::Result;

Result<std::unique_ptr<DuckDbChunkStream>> DuckDbChunkStream::Open(
    StreamSource source, duckdb::unique_ptr<duckdb::QueryResult> submitted, StreamRows rows) {
  std::unique_ptr<DuckDbChunkStream> out(new DuckDbChunkStream());
  out->source_ = std::move(source);
  try {
    out->stream_ = std::make_unique<Stream>(std::move(submitted));
    out->open_ = true;
    // A statement that expands into several knows its columns only once the last of them is bound: run up to
    // there. One that doesn't stream runs to its end.
    bool first = !out->stream_->MetadataAvailable();
    while (out->HoldsConnection() && (first || rows != StreamRows::kAsRead)) {
      first = false;
      auto batch = out->Fetch();
      if (!batch) return std::unexpected(batch.error());
      if (*batch && rows != StreamRows::kForgotten) out->kept_.push_back(std::move(**batch));
    }
    if (!out->knows_columns_) out->columns_ = out->stream_->FormatState().columns();
  } catch (const std::exception& thrown) {
    return std::unexpected(ToError(thrown));
  }
  return out;
}

DuckDbChunkStream::~DuckDbChunkStream() {
  if (!HoldsConnection()) return;
  // Tasks on other threads may wait for a server: closing waits for them.
  const CallGate::Inside inside(*source_.gate);
  Cancel();
  OnDeepStackOrOwn([this] { Close(); });
}

bool DuckDbChunkStream::HoldsConnection() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

void DuckDbChunkStream::Close() {
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  stream_.reset();
}

void DuckDbChunkStream::Cancel() {
  cancelled_.store(true);
  const std::lock_guard lock(mutex_);
  if (!open_) return;
  source_.connection->Interrupt();
  source_.engine->follow_up().Watch(source_.gate, source_.connection);
}

Result<std::optional<ChunkBatch>> DuckDbChunkStream::Fetch() {
  try {
    auto batch = stream_->HasError() ? nullptr : stream_->Fetch();
    if (batch) return std::optional<ChunkBatch>(std::move(*batch));
    const bool failed = stream_->HasError();
    base::Error error = failed ? ToError(stream_->GetErrorObject()) : base::Error{};
    if (!failed && !knows_columns_) {
      columns_ = stream_->FormatState().columns();
      knows_columns_ = true;
    }
    Close();
    if (failed) return std::unexpected(std::move(error));
    return std::optional<ChunkBatch>();
  } catch (const std::exception& thrown) {
    Close();
    return std::unexpected(ToError(thrown));
  }
}

Result<std::optional<ChunkBatch>> DuckDbChunkStream::Next() {
  const CallGate::Inside inside(*source_.gate);
  if (cancelled_.load()) {
    if (HoldsConnection()) OnDeepStackOrOwn([this] { Close(); });
    return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
  }
  if (!kept_.empty()) {
    std::optional<ChunkBatch> batch(std::move(kept_.front()));
    kept_.pop_front();
    return batch;
  }
  if (!HoldsConnection()) return std::optional<ChunkBatch>();
  Result<std::optional<ChunkBatch>> batch;
  if (!OnDeepStack([&] { batch = Fetch(); })) batch = std::unexpected(NoRoomToRun());
  if (!batch) source_.engine->NoteError(batch.error());
  // What a driver says about a connection that was closed to end the call is not what happened to the caller.
  if (!batch && cancelled_.load()) return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
  return batch;
}

}  // namespace pondpilot::worker::engine
