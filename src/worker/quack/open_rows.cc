#include "worker/quack/open_rows.h"

#include <utility>

namespace pondpilot::worker::quack {

using base::Result;

Result<OpenRows::First> OpenRows::Begin(uint64_t full_chunks) {
  auto rows = TakeUnit();
  if (!rows) return std::unexpected(rows.error());
  First first{std::move(*rows), true};
  // A batch that isn't full is the last one, most likely: the client is spared the question.
  if (first.rows && first.rows->ends.size() >= full_chunks) return first;
  auto second = TakeUnit();
  if (!second) return std::unexpected(second.error());
  pending_ = std::move(*second);
  first.more = pending_ != nullptr;
  ended_.store(!first.more);
  return first;
}

Result<OpenRows::Unit> OpenRows::TakeUnit() {
  if (pending_) return std::exchange(pending_, nullptr);
  if (failure_) return std::unexpected(*failure_);
  if (exhausted_) return nullptr;
  auto unit = chunks_->Next();
  if (!unit) {
    failure_ = unit.error();
    return std::unexpected(unit.error());
  }
  if (*unit) return std::make_shared<const engine::ChunkBatch>(std::move(**unit));
  exhausted_ = true;
  return nullptr;
}

Result<OpenRows::Batch> OpenRows::Take() {
  const auto until = std::chrono::steady_clock::now() + kGatherTime;
  Batch batch;
  size_t bytes = 0;
  size_t chunks = 0;
  do {
    auto unit = TakeUnit();
    // What came before a failure is given; the failure comes next.
    if (!unit && batch.units.empty()) {
      failed_.store(true);
      return std::unexpected(unit.error());
    }
    if (!unit || *unit == nullptr) break;
    bytes += (*unit)->bytes.size();
    chunks += (*unit)->ends.size();
    batch.units.push_back(std::move(*unit));
  } while (bytes < kBatchBytes && chunks < kBatchChunks && std::chrono::steady_clock::now() < until);
  if (batch.units.empty()) {
    ended_.store(true);
  } else {
    ++made_;
  }
  batch.number = made_;
  return batch;
}

Result<OpenRows::Batch> OpenRows::Next() {
  const std::lock_guard lock(mutex_);
  return Take();
}

Result<OpenRows::Batch> OpenRows::At(uint64_t number, uint64_t acknowledged) {
  const std::lock_guard lock(mutex_);
  while (!kept_.empty() && kept_.front().number <= acknowledged) kept_.pop_front();
  while (made_ < number) {
    if (number - made_ > kMaxAhead) {
      return base::Fail(base::ErrorCode::kInvalidArgument,
                        "Invalid Input Error: batch " + std::to_string(number) + " is too far ahead.");
    }
    auto batch = Take();
    if (!batch) return std::unexpected(batch.error());
    if (batch->units.empty()) return *batch;
    kept_.push_back(std::move(*batch));
    if (kept_.size() > kMaxKept) kept_.pop_front();
  }
  for (const Batch& batch : kept_) {
    if (batch.number == number) return batch;
  }
  return base::Fail(
      base::ErrorCode::kInvalidArgument,
      "Invalid Input Error: batch " + std::to_string(number) + " of the result is no longer there.");
}

void OpenRows::Cancel() { chunks_->Cancel(); }

}  // namespace pondpilot::worker::quack
