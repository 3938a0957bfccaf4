#include "worker/session/open_result.h"

#include <arrow/record_batch.h>
#include <arrow/util/byte_size.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace pondpilot::worker::session {
namespace {

using base::Result;

uint64_t Bytes(const arrow::RecordBatch& batch) {
  return static_cast<uint64_t>(arrow::util::TotalBufferSize(batch));
}

// Of the rows that the slice shows; a layout that can't be measured counts as large.
uint64_t SliceBytes(const arrow::RecordBatch& slice) {
  const auto bytes = arrow::util::ReferencedBufferSize(slice);
  return bytes.ok() ? static_cast<uint64_t>(*bytes) : std::numeric_limits<uint64_t>::max();
}

}  // namespace

OpenResult::OpenResult(std::unique_ptr<engine::ResultStream> inner, ConnectionLease lease, Activity& activity,
                       const Watched& watched)
    : activity_(activity),
      lease_(std::move(lease)),
      inner_(std::move(inner)),
      watch_(watched.watch),
      limit_(watched.limit) {
  activity_.StreamOpened();
  holds_.store(&lease_->connection());
  if (!inner_->HoldsConnection()) {
    GiveBack();
  } else if (limit_->exists()) {
    guard_.emplace(watched.watch, [this] { return limit_->Check(); }, [this] { inner_->Cancel(); });
  }
}

OpenResult::~OpenResult() {
  guard_.reset();
  inner_.reset();  // before the lease: it ends the statement on the connection
  GiveBack();
  activity_.StreamClosed();
}

// A batch that isn't full is the last one; the fetch after it only finds the end.
bool OpenResult::HasFirstRows() const {
  return ended_ || waiting_.size() == 2 ||
         (!waiting_.empty() && std::cmp_greater_equal(waiting_.back()->num_rows(), engine::kBatchRows));
}

Result<void> OpenResult::FetchAhead() {
  auto batch = Fetch();
  if (!batch) return std::unexpected(batch.error());
  if (*batch == nullptr) {
    ended_ = true;
    return {};
  }
  waiting_bytes_ += Bytes(**batch);
  waiting_.push_back(std::move(*batch));
  return {};
}

Result<void> OpenResult::Prefetch() {
  while (!HasFirstRows()) {
    if (auto fetched = FetchAhead(); !fetched) return fetched;
  }
  return {};
}

Result<bool> OpenResult::PrefetchHere() {
  const auto until = std::chrono::steady_clock::now() + kOwnThreadTime;
  while (!HasFirstRows()) {
    if (!inner_->Advance(until)) return false;
    if (auto fetched = FetchAhead(); !fetched) return std::unexpected(fetched.error());
  }
  return true;
}

Result<std::shared_ptr<OpenResult>> OpenResult::PrefetchWithin(std::shared_ptr<OpenResult> result,
                                                               TaskThreads& threads,
                                                               std::chrono::milliseconds limit,
                                                               std::optional<base::Clock::Steady> deadline) {
  const auto done = [&] {
    const Activity::Running running(result->activity_);
    return result->PrefetchHere();
  }();
  if (!done) return std::unexpected(done.error());
  if (*done) return result;
  result->prefetching_ = true;
  if (!threads.Run([result, deadline] { result->PrefetchApart(deadline); })) {
    result->PrefetchApart(deadline);
  }
  {
    std::unique_lock lock(result->mutex_);
    const bool ended = result->prefetched_.wait_for(lock, limit, [&] { return !result->prefetching_; });
    if (ended && result->prefetch_error_) return std::unexpected(*result->prefetch_error_);
    if (ended) return result;
  }
  OpenResult* const shown = result.get();
  // Reset, because a weak reference keeps the deleter itself alive.
  return std::shared_ptr<OpenResult>(shown, [kept = std::move(result)](OpenResult*) mutable {
    kept->Abandon();
    kept.reset();
  });
}

void OpenResult::PrefetchApart(std::optional<base::Clock::Steady> deadline) {
  const Activity::Running running(activity_);
  Result<void> fetched;
  std::atomic<bool> late{false};
  {
    std::optional<CallWatch::Guard> guard;
    if (deadline) {
      guard.emplace(
          watch_, [&] { return std::chrono::steady_clock::now() >= *deadline; },
          [&] {
            late.store(true);
            Cancel();
          });
    }
    fetched = Prefetch();
  }
  if (!fetched && late.load() && fetched.error().code == base::ErrorCode::kCancelled) {
    fetched = base::Fail(base::ErrorCode::kDeadlineExceeded,
                         "The statement was stopped because its first rows were not there at the deadline of "
                         "the call that started it. Give GetFlightInfo more time, or none to end at.");
  }
  const std::lock_guard lock(mutex_);
  if (!fetched) prefetch_error_ = std::move(fetched.error());
  prefetching_ = false;
  prefetched_.notify_all();
}

Result<void> OpenResult::AwaitPrefetched() {
  std::unique_lock lock(mutex_);
  // Cancel and the statement's time limit end it.
  prefetched_.wait(lock, [this] { return !prefetching_; });
  if (prefetch_error_) return std::unexpected(*prefetch_error_);
  return {};
}

void OpenResult::Abandon() {
  {
    const std::lock_guard lock(mutex_);
    if (!prefetching_) return;
  }
  Cancel();
}

const std::deque<std::shared_ptr<arrow::RecordBatch>>* OpenResult::Whole() const {
  const std::lock_guard lock(mutex_);
  return !prefetching_ && ended_ && read_nothing_ ? &waiting_ : nullptr;
}

bool OpenResult::Advance(std::chrono::steady_clock::time_point until) {
  {
    const std::lock_guard lock(mutex_);
    if (prefetching_) return false;
    if (prefetch_error_) return true;
  }
  return large_ != nullptr || !waiting_.empty() || ended_ || inner_->Advance(until);
}

Result<std::shared_ptr<arrow::RecordBatch>> OpenResult::Next() {
  if (auto prefetched = AwaitPrefetched(); !prefetched) return std::unexpected(prefetched.error());
  if (large_ == nullptr) {
    auto batch = NextWhole();
    if (!batch || *batch == nullptr) return batch;
    const int64_t rows = (*batch)->num_rows();
    const uint64_t bytes = Bytes(**batch);
    if (bytes <= kMaxBatchBytes || rows < 2) return batch;
    large_ = std::move(*batch);
    large_next_row_ = 0;
    piece_rows_ = std::max<int64_t>(
        1, static_cast<int64_t>(static_cast<double>(rows) * kMaxBatchBytes / 2 / static_cast<double>(bytes)));
    // Whole bytes of the validity bitmaps need no shifting.
    if (piece_rows_ > 64) piece_rows_ -= piece_rows_ % 64;
  }
  int64_t rows = std::min(piece_rows_, large_->num_rows() - large_next_row_);
  auto piece = large_->Slice(large_next_row_, rows);
  // Rows differ: what is average for the batch can be far too much here.
  while (rows > 1 && SliceBytes(*piece) > kMaxBatchBytes) {
    rows = (rows + 1) / 2;
    piece = large_->Slice(large_next_row_, rows);
  }
  large_next_row_ += rows;
  if (large_next_row_ >= large_->num_rows()) large_.reset();
  return piece;
}

Result<std::shared_ptr<arrow::RecordBatch>> OpenResult::NextWhole() {
  read_nothing_ = false;
  if (waiting_.empty()) return Fetch();
  std::shared_ptr<arrow::RecordBatch> batch = std::move(waiting_.front());
  waiting_.pop_front();
  waiting_bytes_ -= Bytes(*batch);
  return batch;
}

Result<std::shared_ptr<arrow::RecordBatch>> OpenResult::Fetch() {
  auto batch = inner_->Next();
  if (!batch) batch.error() = limit_->Explain(std::move(batch.error()));
  if (lease_ && !inner_->HoldsConnection()) GiveBack();
  return batch;
}

void OpenResult::GiveBack() {
  guard_.reset();
  holds_.store(nullptr);
  lease_.reset();
}

}  // namespace pondpilot::worker::session
