#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "worker/engine/cancel_follow_up.h"
#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"
#include "worker/engine/memory_plan.h"
#include "worker/engine/row_ids.h"
#include "worker/engine/silence_watch.h"
#include "worker/engine/statement_policy.h"

namespace pondpilot::worker::engine {

// What a database has before anything is attached.
inline constexpr std::array<std::string_view, 3> kOwnCatalogs = {"system", "temp", "memory"};

class DuckDbEngine final : public Engine {
 public:
  // Makes a prepared database the one of an engine within these limits.
  static base::Result<std::unique_ptr<DuckDbEngine>> Start(std::unique_ptr<duckdb::DuckDB> database,
                                                           const Limits& limits, const MemoryPlan& plan);
  ~DuckDbEngine() override;

  base::Result<std::vector<AttachmentState>> AttachAndLockDown(
      const std::vector<Attachment>& attachments, const std::vector<std::string>& extensions) override;
  std::vector<AttachmentState> attachments() const override;
  base::Result<std::unique_ptr<Connection>> Connect() override;
  bool healthy() const override;
  uint64_t BufferBytes() const override;

  const StatementPolicy& policy() const { return *policy_; }
  CancelFollowUp& follow_up() { return follow_up_; }
  RowIds& row_ids() { return row_ids_; }
  // Looks at every error for what concerns the whole engine: it is unusable, memory ran out.
  void NoteError(const base::Error& error);
  // Before a statement: when the last one ran out of memory, what it left behind is given back first.
  void MakeRoom();
  // Adds to an error on a name that was not found why an attached database is not there, when the text names
  // one.
  void ExplainMissingDatabase(std::string_view sql, base::Error& error) const;

 private:
  DuckDbEngine() = default;

  // Tries the databases that were down again, until all are attached or the engine ends.
  void RetryLoop();
  // One round over `tries`, without the mutex; takes out what it has attached. Returns early when the engine
  // ends.
  std::vector<AttachmentState> Retry(std::vector<Attachment>& tries);
  bool Stopping() const;

  Limits limits_;
  std::unique_ptr<duckdb::DuckDB> database_;
  // The worker's own connection; the only one that ever has external access, and only while it attaches.
  std::unique_ptr<duckdb::Connection> own_;
  std::unique_ptr<StatementPolicy> policy_;
  CancelFollowUp follow_up_;
  RowIds row_ids_;
  std::optional<SilenceWatch> silence_;
  std::atomic<bool> locked_{false};
  std::atomic<bool> healthy_{true};
  std::atomic<bool> memory_was_short_{false};

  mutable std::mutex mutex_;
  std::vector<AttachmentState> states_;
  // With their credentials, for as long as they are tried again; the retrier's alone once it runs.
  std::vector<Attachment> missing_;
  bool stopping_ = false;
  std::condition_variable wake_;
  std::thread retrier_;
};

}  // namespace pondpilot::worker::engine
