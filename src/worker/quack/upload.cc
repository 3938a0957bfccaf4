#include "worker/quack/upload.h"

#include <chrono>
#include <utility>

#include "quack/chunk_check.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::quack {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

// How soon whoever waits notices that the client has gone.
constexpr std::chrono::milliseconds kGoneCheck{20};

void Split(std::string_view rows, uint64_t count, std::vector<std::string_view>& chunks) {
  for (uint64_t i = 0; i < count; ++i) {
    const auto length = pondpilot::quack::CheckChunk(rows);
    if (!length) return;
    chunks.push_back(rows.substr(0, *length));
    rows.remove_prefix(*length);
  }
}

}  // namespace

std::optional<std::string> Upload::StreamOf(std::string_view sql) {
  // The client writes it exactly so; DuckDB decides later what the text means.
  const std::string call = std::string(engine::kChunksFunction) + "('";
  const size_t at = sql.find(call);
  if (at == std::string_view::npos || !sql.starts_with("INSERT INTO ")) return std::nullopt;
  const std::string_view rest = sql.substr(at + call.size());
  const size_t end = rest.find('\'');
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  return std::string(rest.substr(0, end));
}

session::Caller Upload::Within(const session::Caller& caller) const {
  session::Caller within = caller;
  within.use.transaction = transaction_;
  return within;
}

Result<void> Upload::Add(const session::Caller& caller, const pondpilot::quack::StreamedRows& rows) {
  const std::lock_guard lock(mutex_);
  if (outcome_) {
    if (!*outcome_) return std::unexpected(outcome_->error());
    return Fail(ErrorCode::kInvalidArgument, "Invalid Input Error: rows came after the end of their stream.");
  }
  auto added = [&]() -> Result<void> {
    if (rows.last_batch) last_ = *rows.last_batch;
    if (rows.chunks > 0 && rows.batch == 0) {
      if (auto taken = Take(caller, std::string(rows.rows), rows.chunks); !taken) return taken;
    } else if (rows.chunks > 0) {
      if (rows.batch < next_ || early_.contains(rows.batch)) {
        return Fail(ErrorCode::kInvalidArgument, "Invalid Input Error: a batch of rows came twice.");
      }
      early_bytes_ += rows.rows.size();
      early_[rows.batch] = {std::string(rows.rows), rows.chunks};
    }
    for (auto at = early_.find(next_); at != early_.end(); at = early_.find(next_)) {
      Early batch = std::move(at->second);
      early_.erase(at);
      early_bytes_ -= batch.rows.size();
      ++next_;
      if (auto taken = Take(caller, std::move(batch.rows), batch.chunks); !taken) return taken;
    }
    if (early_bytes_ > kMaxEarlyBytes) {
      return Fail(ErrorCode::kResourceExhausted,
                  "Out of Memory Error: too many rows came before those that belong in front of them.");
    }
    if (rows.chunks > 0) ++received_;
    if (last_ && early_.empty() && received_ >= *last_) return Finish(caller);
    return {};
  }();
  if (!added) {
    outcome_ = std::unexpected(added.error());
    if (!transaction_.empty()) (void)runner_.End(Within(caller), false);
  }
  changed_.notify_all();
  return added;
}

Result<void> Upload::Take(const session::Caller& caller, std::string rows, uint64_t chunks) {
  window_bytes_ += rows.size();
  window_.emplace_back(std::move(rows), chunks);
  return window_bytes_ < kWindowBytes ? Result<void>() : WriteWindow(caller);
}

Result<void> Upload::WriteWindow(const session::Caller& caller) {
  const auto window = std::exchange(window_, {});
  window_bytes_ = 0;
  std::vector<std::string_view> chunks;
  for (const auto& [rows, count] : window) Split(rows, count, chunks);
  auto written = runner_.InsertChunks(Within(caller), sql_, chunks);
  if (!written) return std::unexpected(written.error());
  written_ += *written;
  return {};
}

Result<void> Upload::Finish(const session::Caller& caller) {
  if (auto written = WriteWindow(caller); !written) return written;
  if (!transaction_.empty()) {
    if (auto ended = runner_.End(Within(caller), true); !ended) return ended;
  }
  outcome_ = written_;
  return {};
}

Result<int64_t> Upload::Await(const session::Caller& caller) {
  std::unique_lock lock(mutex_);
  while (!outcome_) {
    if (caller.gone()) return Fail(ErrorCode::kCancelled, "The call was cancelled.");
    changed_.wait_for(lock, kGoneCheck);
  }
  return *outcome_;
}

void Upload::Cancel() {
  const std::lock_guard lock(mutex_);
  if (!outcome_) outcome_ = Fail(ErrorCode::kCancelled, "The statement was cancelled.");
  changed_.notify_all();
}

}  // namespace pondpilot::worker::quack
