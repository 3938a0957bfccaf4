#pragma once

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
// thread of DuckDB's waits for the client, and an upload that breaks off leaves nothing. Thread-safe.
class Upload {
 public:
  // So much is gathered before it is written, and so much may wait for batches before it.
  static constexpr size_t kWindowBytes = 32 << 20;
  static constexpr size_t kMaxEarlyBytes = 128 << 20;

  // `transaction`: the handle of the one to write in and to end; empty when the session's own is open.
  Upload(session::StatementRunner& runner, std::string sql, std::string stream, std::string transaction)
      : runner_(runner),
        sql_(std::move(sql)),
        stream_(std::move(stream)),
        transaction_(std::move(transaction)) {}

  const std::string& stream() const { return stream_; }

  // Takes rows that were checked. An error is the statement's: it has failed for good.
  base::Result<void> Add(const session::Caller& caller, const pondpilot::quack::StreamedRows& rows);
  // Waits for the end of the statement: how many rows it has written.
  base::Result<int64_t> Await(const session::Caller& caller);
  // Nothing more is written.
  void Cancel();

  // The id of the stream that an INSERT reads; nullopt for any other text.
  static std::optional<std::string> StreamOf(std::string_view sql);

 private:
  base::Result<void> Take(const session::Caller& caller, std::string rows, uint64_t chunks);
  base::Result<void> WriteWindow(const session::Caller& caller);
  base::Result<void> Finish(const session::Caller& caller);
  session::Caller Within(const session::Caller& caller) const;

  session::StatementRunner& runner_;
  const std::string sql_;
  const std::string stream_;
  const std::string transaction_;

  std::mutex mutex_;
  std::condition_variable changed_;
  struct Early {
    std::string rows;
    uint64_t chunks = 0;
  };
  std::map<uint64_t, Early> early_;  // batches whose turn has not come
  size_t early_bytes_ = 0;
  uint64_t next_ = 1;
  uint64_t received_ = 0;  // batches
  std::optional<uint64_t> last_;
  std::vector<std::pair<std::string, uint64_t>> window_;
  size_t window_bytes_ = 0;
  int64_t written_ = 0;
  std::optional<base::Result<int64_t>> outcome_;
};

}  // namespace pondpilot::worker::quack
