#include "worker/quack/open_rows.h"

#include <utility>

namespace pondpilot::worker::quack {

using base::Result;

Result<OpenRows::First> OpenRows::Begin(uint64_t full_chunks) {
  First first;
  auto batch = chunks_->Next();
  if (!batch) return std::unexpected(batch.error());
  if (!*batch) {
    ended_.store(true);
    return first;
  }
  first.batch = std::move(**batch);
  first.more = true;
  // A batch that isn't full is the last one, most likely: the client is spared the question.
  if (first.batch.ends.size() >= full_chunks) return first;
  auto second = chunks_->Next();
  if (!second) return std::unexpected(second.error());
  pending_ = std::move(*second);
  first.more = pending_.has_value();
  if (!first.more) ended_.store(true);
  return first;
}

Result<std::shared_ptr<const engine::ChunkBatch>> OpenRows::Take() {
  if (failure_) return std::unexpected(*failure_);
  if (pending_) {
    ++made_;
    auto batch = std::make_shared<const engine::ChunkBatch>(std::move(*pending_));
    pending_.reset();
    return batch;
  }
  if (ended_.load()) return nullptr;
  auto batch = chunks_->Next();
  if (!batch) {
    failure_ = batch.error();
    failed_.store(true);
    return std::unexpected(batch.error());
  }
  if (!*batch) {
    ended_.store(true);
    return nullptr;
  }
  ++made_;
  return std::make_shared<const engine::ChunkBatch>(std::move(**batch));
}

Result<OpenRows::Batch> OpenRows::Next() {
  const std::lock_guard lock(mutex_);
  auto rows = Take();
  if (!rows) return std::unexpected(rows.error());
  return Batch{std::move(*rows), made_};
}

Result<OpenRows::Batch> OpenRows::At(uint64_t number, uint64_t acknowledged) {
  const std::lock_guard lock(mutex_);
  while (!kept_.empty() && kept_.front().number <= acknowledged) kept_.pop_front();
  while (made_ < number) {
    if (number - made_ > kMaxAhead) {
      return base::Fail(base::ErrorCode::kInvalidArgument,
                        "Invalid Input Error: batch " + std::to_string(number) + " is too far ahead.");
    }
    auto rows = Take();
    if (!rows) return std::unexpected(rows.error());
    if (*rows == nullptr) return Batch{nullptr, made_};
    kept_.push_back({std::move(*rows), made_});
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
