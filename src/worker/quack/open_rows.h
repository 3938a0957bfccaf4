#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "quack/messages.h"
#include "worker/session/open_chunks.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::quack {

namespace wire = pondpilot::quack;

// A result that a client fetches batch by batch, over as many requests at the same time as it likes. Rows are
// computed as they are asked for. Thread-safe.
class OpenRows {
 public:
  // How many batches ahead of what has been given a client may ask, and how many are kept for it to ask for
  // again.
  static constexpr uint64_t kMaxAhead = 64;
  static constexpr size_t kMaxKept = 64;
  // A batch has so many bytes at least, unless computing them takes longer than this.
  static constexpr size_t kBatchBytes = 2 << 20;
  // Or so many chunks: a sequence of 2048 rows takes a few bytes, and memory of the client's.
  static constexpr size_t kBatchChunks = 240;
  static constexpr std::chrono::milliseconds kGatherTime{10};

  explicit OpenRows(std::shared_ptr<session::OpenChunks> chunks) : chunks_(std::move(chunks)) {}

  // For the answer to the statement: its first rows, and whether more follow. Once, before the others.
  using Unit = std::shared_ptr<const engine::ChunkBatch>;
  struct First {
    Unit rows;  // nullptr: there are none
    bool more = false;
  };
  base::Result<First> Begin(uint64_t full_chunks);
  const std::vector<engine::ChunkStream::Column>& columns() const { return chunks_->columns(); }

  struct Batch {
    std::vector<Unit> units;  // none: the result has ended
    uint64_t number = 0;      // from 1; of the last batch when it has ended
  };
  // The next batch that nobody has had. Blocks while DuckDB computes.
  base::Result<Batch> Next();
  // The batch of this number, also once more as long as it was not acknowledged. kInvalidArgument for one
  // that is gone or too far ahead.
  base::Result<Batch> At(uint64_t number, uint64_t acknowledged);

  // Stops the statement; whoever waits for rows gets kCancelled. From any thread.
  void Cancel();
  // The client has been told of the end.
  bool ended() const { return ended_.load(); }
  // The client has been told of the end or of a failure: nothing of it is in use any more.
  bool over() const { return ended_.load() || failed_.load(); }

 private:
  // nullptr at the end.
  base::Result<Unit> TakeUnit();
  base::Result<Batch> Take();

  const std::shared_ptr<session::OpenChunks> chunks_;
  std::mutex mutex_;  // one reader at a time
  Unit pending_;
  uint64_t made_ = 0;
  std::deque<Batch> kept_;
  std::optional<base::Error> failure_;
  bool exhausted_ = false;           // there are no more units
  std::atomic<bool> ended_{false};   // and the client knows
  std::atomic<bool> failed_{false};  // and the client knows
};

}  // namespace pondpilot::worker::quack
