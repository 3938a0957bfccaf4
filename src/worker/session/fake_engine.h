#pragma once

#include <arrow/api.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/engine/engine.h"

// For tests: an engine that runs a few made-up statements, so that what depends on timing can be driven
// exactly.
//
//   rows N       N rows of one BIGINT column "n", in batches of kBatchRows
//   wide N       N rows of one VARCHAR column "s" of 1000 bytes
//   break N      the same, but the read after N rows fails
//   block        runs until it is interrupted
//   stall        a result whose first rows never come, until it is cancelled
//   set, begin, commit    state, transaction
//   count N      a change of N rows
//   fail TEXT    kInvalidArgument with the text
namespace pondpilot::worker::session {

class FakeGate {
 public:
  // False when it was closed instead of passing `limit`.
  bool WaitClosed(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    return closed_changed_.wait_for(lock, limit, [this] { return closed_; });
  }
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    closed_changed_.notify_all();
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    closed_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable closed_changed_;
  bool closed_ = false;
};

// How long a test's engine waits for an interrupt before it gives up.
inline constexpr std::chrono::milliseconds kFakePatience{20'000};

class FakeStream final : public engine::ResultStream {
 public:
  FakeStream(const std::string& column, int64_t rows, bool breaks, bool stalls, std::atomic<int>& open)
      : schema_(arrow::schema({arrow::field(column, column == "s" ? arrow::utf8() : arrow::int64())})),
        rows_(rows),
        breaks_(breaks),
        stalls_(stalls),
        open_(open) {
    ++open_;
  }
  ~FakeStream() override { --open_; }

  const std::shared_ptr<arrow::Schema>& schema() const override { return schema_; }

  bool Advance(std::chrono::steady_clock::time_point) override { return !stalls_; }
  base::Result<std::shared_ptr<arrow::RecordBatch>> Next() override {
    if (stalls_) (void)cancelled_.WaitClosed(kFakePatience);
    if (cancelled_.WaitClosed(std::chrono::milliseconds(0))) {
      ended_ = true;
      return base::Fail(base::ErrorCode::kCancelled, "The statement was cancelled.");
    }
    if (sent_ == rows_) {
      ended_ = true;
      if (breaks_) return base::Fail(base::ErrorCode::kInvalidArgument, "Conversion Error: boom");
      return nullptr;
    }
    if (schema_->field(0)->type()->id() == arrow::Type::STRING) {
      const int64_t wide = std::min<int64_t>(rows_ - sent_, engine::kBatchRows);
      arrow::StringBuilder builder;
      for (int64_t i = 0; i < wide; ++i) {
        std::string text = std::to_string(sent_ + i);
        text.resize(1000, 'x');
        (void)builder.Append(text);
      }
      sent_ += wide;
      return arrow::RecordBatch::Make(schema_, wide, {*builder.Finish()});
    }
    const int64_t count = std::min<int64_t>(rows_ - sent_, engine::kBatchRows);
    arrow::Int64Builder builder;
    for (int64_t i = 0; i < count; ++i)
      (void)builder.Append(schema_->field(0)->name() == "Count" ? value : sent_ + i);
    sent_ += count;
    return arrow::RecordBatch::Make(schema_, count, {*builder.Finish()});
  }

  bool HoldsConnection() const override { return !ended_; }
  void Cancel() override { cancelled_.Close(); }

  int64_t value = 0;

 private:
  std::shared_ptr<arrow::Schema> schema_;
  int64_t rows_;
  int64_t sent_ = 0;
  bool breaks_;
  bool stalls_;
  bool ended_ = false;
  FakeGate cancelled_;
  std::atomic<int>& open_;
};

class FakeEngine;

class FakeConnection final : public engine::Connection {
 public:
  explicit FakeConnection(FakeEngine& engine);
  ~FakeConnection() override;

  base::Result<std::unique_ptr<engine::ResultStream>> Execute(std::string_view sql,
                                                              engine::Types types) override;
  base::Result<std::unique_ptr<engine::ResultStream>> ExecuteWith(std::string_view sql,
                                                                  const engine::ParameterRows&) override {
    return Execute(sql, engine::Types::kCommon);
  }
  base::Result<std::unique_ptr<engine::ChunkStream>> ExecuteChunks(std::string_view, engine::ChunkVersion,
                                                                   uint64_t) override {
    return base::Fail(base::ErrorCode::kUnimplemented, "The made-up engine writes no chunks.");
  }
  base::Result<int64_t> InsertChunks(std::string_view, const std::vector<std::string_view>&) override {
    return base::Fail(base::ErrorCode::kUnimplemented, "The made-up engine reads no chunks.");
  }
  base::Result<engine::Description> Describe(std::string_view sql, engine::Types types) override;
  base::Result<int64_t> Ingest(const engine::IngestTarget&, engine::RowSource& source) override;
  base::Result<int64_t> Change(const engine::TableChange&, engine::RowSource&,
                               const engine::BatchSink&) override {
    return base::Fail(base::ErrorCode::kUnimplemented, "no tables here");
  }
  base::Result<std::vector<std::string>> TypeNames(const std::shared_ptr<arrow::Schema>&) override {
    return std::vector<std::string>{};
  }
  base::Result<engine::CatalogAnswer> Look(const engine::CatalogQuestion&) override {
    return engine::CatalogAnswer{};
  }
  base::Result<void> Begin() override;
  base::Result<void> End(bool commit) override;
  base::Result<void> Spoil() override { return {}; }
  double Progress() const override { return tracked_ ? 25 : -1; }
  void TrackProgress() override { tracked_ = true; }
  void Interrupt() override { interrupted_.Close(); }
  bool InTransaction() const override { return in_transaction_; }
  bool HasState() const override { return has_state_ || (in_transaction_ && !by_handle_); }

 private:
  FakeEngine& engine_;
  FakeGate interrupted_;
  std::atomic<bool> in_transaction_{false};
  std::atomic<bool> has_state_{false};
  std::atomic<bool> by_handle_{false};
  std::atomic<bool> tracked_{false};
};

class FakeEngine final : public engine::Engine {
 public:
  base::Result<std::vector<engine::AttachmentState>> AttachAndLockDown(
      const std::vector<engine::Attachment>& attachments,
      const std::vector<std::string>& extensions) override {
    const std::lock_guard lock(mutex_);
    if (lock_down_error) return std::unexpected(*lock_down_error);
    attached_ = attachments;
    extensions_ = extensions;
    for (const engine::Attachment& attachment : attachments) {
      states_.push_back({attachment.alias, attachment.kind != engine::Attachment::Kind::kUnavailable,
                         attachment.unavailable_reason});
    }
    return states_;
  }
  std::vector<engine::AttachmentState> attachments() const override {
    const std::lock_guard lock(mutex_);
    return states_;
  }
  base::Result<std::unique_ptr<engine::Connection>> Connect() override {
    return std::make_unique<FakeConnection>(*this);
  }
  bool healthy() const override { return is_healthy; }
  uint64_t BufferBytes() const override { return buffer_bytes; }

  std::vector<engine::Attachment> attached() const {
    const std::lock_guard lock(mutex_);
    return attached_;
  }
  // Texts in the order in which they ran.
  std::vector<std::string> ran() const {
    const std::lock_guard lock(mutex_);
    return ran_;
  }
  void Note(std::string_view sql) {
    const std::lock_guard lock(mutex_);
    ran_.emplace_back(sql);
  }

  std::atomic<int> connections{0};
  std::atomic<int> executing{0};
  std::atomic<int> open_streams{0};
  std::atomic<bool> is_healthy{true};
  std::atomic<bool> ends_transactions{true};
  std::atomic<uint64_t> buffer_bytes{0};
  std::optional<base::Error> lock_down_error;

 private:
  mutable std::mutex mutex_;
  std::vector<engine::Attachment> attached_;
  std::vector<std::string> extensions_;
  std::vector<engine::AttachmentState> states_;
  std::vector<std::string> ran_;
};

inline FakeConnection::FakeConnection(FakeEngine& engine) : engine_(engine) { ++engine_.connections; }
inline FakeConnection::~FakeConnection() { --engine_.connections; }

inline base::Result<engine::Description> FakeConnection::Describe(std::string_view sql, engine::Types) {
  engine_.Note("describe " + std::string(sql));
  return engine::Description{arrow::schema({arrow::field("n", arrow::int64())}), arrow::schema({})};
}

inline base::Result<int64_t> FakeConnection::Ingest(const engine::IngestTarget& target,
                                                    engine::RowSource& source) {
  engine_.Note("ingest " + target.table);
  int64_t rows = 0;
  for (;;) {
    auto batch = source.Next();
    if (!batch) return std::unexpected(batch.error());
    if (!*batch) return rows;
    rows += (*batch)->num_rows();
  }
}

inline base::Result<void> FakeConnection::Begin() {
  engine_.Note("Begin");
  if (in_transaction_) return base::Fail(base::ErrorCode::kFailedPrecondition, "in a transaction already");
  in_transaction_ = true;
  by_handle_ = true;
  return {};
}

inline base::Result<void> FakeConnection::End(bool commit) {
  engine_.Note(commit ? "Commit" : "Rollback");
  if (!engine_.ends_transactions.load()) return base::Fail(base::ErrorCode::kInternal, "it does not end");
  in_transaction_ = false;
  by_handle_ = false;
  return {};
}

inline base::Result<std::unique_ptr<engine::ResultStream>> FakeConnection::Execute(std::string_view sql,
                                                                                   engine::Types) {
  engine_.Note(sql);
  const auto blank = sql.find(' ');
  const std::string_view word = sql.substr(0, blank);
  const std::string_view rest = blank == std::string_view::npos ? "" : sql.substr(blank + 1);
  int64_t number = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), number);
  interrupted_.Open();
  if (word == "block") {
    ++engine_.executing;
    const bool stopped = interrupted_.WaitClosed(kFakePatience);
    --engine_.executing;
    return base::Fail(stopped ? base::ErrorCode::kCancelled : base::ErrorCode::kInternal,
                      "The statement was cancelled.");
  }
  if (word == "fail") return base::Fail(base::ErrorCode::kInvalidArgument, std::string(rest));
  if (word == "set") has_state_ = true;
  if (word == "begin") in_transaction_ = true;
  if (word == "commit") in_transaction_ = false;
  const bool change = word == "count" || word == "INSERT";
  auto stream = std::make_unique<FakeStream>(change           ? "Count"
                                             : word == "wide" ? "s"
                                                              : "n",
                                             change ? 1 : number, word == "break", word == "stall",
                                             engine_.open_streams);
  stream->value = number;
  return stream;
}

}  // namespace pondpilot::worker::session
