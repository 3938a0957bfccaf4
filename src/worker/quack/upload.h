#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "quack/messages.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::quack {

// An INSERT that reads rows which its client sends in batches, over several requests at the same time. The
// rows are gathered and written in windows, all in one transaction, by the requests that bring them: no
// thread of DuckDB's waits for the client, and an upload that breaks off leaves nothing. Inside a transaction
// of the client's own, one that breaks off leaves it nothing but ROLLBACK. Thread-safe.
class Upload {
 public:
  // So much is gathered before it is written, and so much may wait for batches before it.
  static constexpr size_t kWindowBytes = 32 << 20;
  static constexpr size_t kMaxEarlyBytes = 128 << 20;

  // `transaction`: the handle of the one to write in and to end; empty when the session's own is open.
  Upload(session::StatementRunner& runner, std::string session_name, std::string sql, std::string stream,
         std::string transaction)
      : runner_(runner),
        session_name_(std::move(session_name)),
        sql_(std::move(sql)),
        stream_(std::move(stream)),
        transaction_(std::move(transaction)) {}
  // Without an outcome it is cancelled. Nobody may be in its functions any more.
  ~Upload() { Cancel(); }
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  const std::string& stream() const { return stream_; }

  // Takes rows that were checked. An error is the statement's: it has failed for good.
  base::Result<void> Add(const session::Caller& caller, const pondpilot::quack::StreamedRows& rows);
  // Waits for the end of the statement: how many rows it has written.
  base::Result<int64_t> Await(const session::Caller& caller);
  // The statement has failed, unless it has an outcome already: what it has written is rolled back, here or,
  // when a window is being written, by its writer, who is interrupted and not waited for.
  void Fail(base::Error why);
  void Cancel() { Fail({base::ErrorCode::kCancelled, "The statement was cancelled.", "", {}}); }
  // Waits, until the caller's deadline, for a writer to have left.
  void AwaitWriter(const session::Caller& caller);

  // The id of the stream that an INSERT reads; nullopt for any other text.
  static std::optional<std::string> StreamOf(std::string_view sql);

 private:
  struct Rows {
    std::string bytes;
    uint64_t chunks = 0;
  };
  using Lock = std::unique_lock<std::mutex>;

  base::Result<void> Take(const pondpilot::quack::StreamedRows& rows);
  base::Result<void> BecomeWriter(Lock& lock, const session::Caller& caller);
  base::Result<void> Write(Lock& lock, const session::Caller& caller);
  base::Result<void> WriteWindow(Lock& lock, const session::Caller& caller);
  void LeaveAsWriter(Lock& lock);
  bool complete() const { return last_ && early_.empty() && received_ >= *last_; }
  void SetOutcome(base::Result<int64_t> outcome);
  void GiveUp();
  session::Caller Within(const session::Caller& caller) const;

  session::StatementRunner& runner_;
  const std::string session_name_;
  const std::string sql_;
  const std::string stream_;
  const std::string transaction_;

  // Never held while DuckDB works.
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_writer_ = false;         // who alone uses the transaction
  bool wrote_ = false;              // a window, perhaps in part
  bool gave_up_ = false;            // what was written is undone
  std::map<uint64_t, Rows> early_;  // batches whose turn has not come
  size_t early_bytes_ = 0;
  uint64_t next_ = 1;
  uint64_t received_ = 0;  // batches
  std::optional<uint64_t> last_;
  std::vector<Rows> window_;
  size_t window_bytes_ = 0;
  int64_t written_ = 0;
  std::optional<base::Result<int64_t>> outcome_;
  std::atomic<bool> failed_{false};  // as the outcome says
};

}  // namespace pondpilot::worker::quack
