#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "worker/engine/engine.h"
#include "worker/session/activity.h"
#include "worker/session/call_watch.h"
#include "worker/session/session.h"
#include "worker/session/task_threads.h"
#include "worker/session/time_limit.h"

namespace pondpilot::worker::session {

// A result that is being read, with the connection it comes from. The connection is given back as soon as the
// result no longer needs it; destroying the result before its end stops the statement. One thread at a time,
// except Cancel.
//
// The engine's batches have a number of rows; here they get a bound in bytes as well, because each becomes
// one message that the proxy and the client hold as a whole. A single row larger than that stays whole.
class OpenResult final : public engine::ResultStream {
 public:
  // Who ends the statement when its time is up, also while nobody reads.
  struct Watched {
    CallWatch& watch;
    std::shared_ptr<TimeLimit> limit;
  };
  // `activity` and the watch must outlive the result.
  OpenResult(std::unique_ptr<engine::ResultStream> inner, ConnectionLease lease, Activity& activity,
             const Watched& watched);
  ~OpenResult() override;

  // Fetches the first rows, and finds out whether they are all: then the connection is free again although
  // nobody has read the result yet. Most results are that small, and an error in them shows now.
  base::Result<void> Prefetch();
  // The same, but the caller waits no longer than about `limit`; what takes longer goes on on one of
  // `threads`, and reading waits for it. Its errors show here, or when it is read. Gives what is to be held
  // of the result: when the last of it goes, the statement is stopped. So it is at `deadline`, when the rows
  // are not there yet (kDeadlineExceeded). Without a free thread the caller waits.
  static base::Result<std::shared_ptr<OpenResult>> PrefetchWithin(
      std::shared_ptr<OpenResult> result, TaskThreads& threads, std::chrono::milliseconds limit,
      std::optional<base::Clock::Steady> deadline);
  // A larger batch is cut into pieces of about half of this.
  static constexpr uint64_t kMaxBatchBytes = 8 << 20;

  // The whole result when Prefetch has found it to be no more than that and nothing of it was read yet;
  // nullptr otherwise. Valid until the next call.
  const std::deque<std::shared_ptr<arrow::RecordBatch>>* Whole() const;

  // Bytes of rows that were fetched ahead and not read. From any thread.
  uint64_t waiting_bytes() const { return waiting_bytes_.load(); }

  const std::shared_ptr<arrow::Schema>& schema() const override { return inner_->schema(); }
  bool Advance(std::chrono::steady_clock::time_point until) override;
  base::Result<std::shared_ptr<arrow::RecordBatch>> Next() override;
  bool HoldsConnection() const override { return holds_.load() != nullptr; }
  void Cancel() override { inner_->Cancel(); }

  // From any thread: does it hold this connection?
  bool Holds(const engine::Connection* connection) const { return holds_.load() == connection; }

 private:
  // A hand-over to another thread costs tens of microseconds, which is much for a statement that takes no
  // longer: the caller's own thread computes for so long first.
  static constexpr std::chrono::milliseconds kOwnThreadTime{2};

  bool HasFirstRows() const;
  base::Result<void> FetchAhead();
  // Prefetch for about kOwnThreadTime; false when there is more to do.
  base::Result<bool> PrefetchHere();
  // The rest of Prefetch, on a thread of its own.
  void PrefetchApart(std::optional<base::Clock::Steady> deadline);
  // Waits for PrefetchApart.
  base::Result<void> AwaitPrefetched();
  // Nobody holds it any more: stops PrefetchApart.
  void Abandon();
  base::Result<std::shared_ptr<arrow::RecordBatch>> Fetch();
  base::Result<std::shared_ptr<arrow::RecordBatch>> NextWhole();
  void GiveBack();

  Activity& activity_;
  std::optional<ConnectionLease> lease_;
  std::atomic<const engine::Connection*> holds_{nullptr};
  std::unique_ptr<engine::ResultStream> inner_;
  CallWatch& watch_;
  std::shared_ptr<TimeLimit> limit_;
  std::optional<CallWatch::Guard> guard_;  // while the statement runs
  std::deque<std::shared_ptr<arrow::RecordBatch>> waiting_;
  std::atomic<uint64_t> waiting_bytes_{0};
  bool ended_ = false;  // the engine has no more rows
  bool read_nothing_ = true;
  std::shared_ptr<arrow::RecordBatch> large_;  // being cut
  int64_t large_next_row_ = 0;
  int64_t piece_rows_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable prefetched_;
  bool prefetching_ = false;  // on a thread of its own, whose all of the above is then
  std::optional<base::Error> prefetch_error_;
};

}  // namespace pondpilot::worker::session
