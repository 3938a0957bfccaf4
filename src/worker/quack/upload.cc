#include "worker/quack/upload.h"

#include <chrono>
#include <utility>

#include "base/clock.h"
#include "quack/chunk_check.h"
#include "telemetry/log.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::quack {
namespace {

using base::ErrorCode;
using base::Result;

// How soon whoever waits notices that the client has gone.
constexpr std::chrono::milliseconds kGoneCheck{20};
// How long undoing waits for the session's connection.
constexpr std::chrono::seconds kConnectionWait(30);

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
  within.gone = [this, gone = caller.gone] { return gone() || failed_.load(); };
  return within;
}

Result<void> Upload::Add(const session::Caller& caller, const pondpilot::quack::StreamedRows& rows) {
  Lock lock(mutex_);
  if (outcome_ && *outcome_) {
    return base::Fail(ErrorCode::kInvalidArgument,
                      "Invalid Input Error: rows came after the end of their stream.");
  }
  auto added = outcome_ ? Result<void>(std::unexpected(outcome_->error())) : Take(rows);
  while (added && (window_bytes_ >= kWindowBytes || complete())) {
    added = BecomeWriter(lock, caller);
    // Others may have written it, or ended it all.
    if (!added || outcome_) break;
    added = Write(lock, caller);
    LeaveAsWriter(lock);
    if (outcome_ && *outcome_) break;
  }
  if (added) return added;
  lock.unlock();
  Fail(added.error());
  return added;
}

Result<void> Upload::Take(const pondpilot::quack::StreamedRows& rows) {
  if (rows.last_batch) last_ = *rows.last_batch;
  if (rows.chunks > 0 && rows.batch != 0) {
    if (rows.batch < next_ || early_.contains(rows.batch))
      return base::Fail(ErrorCode::kInvalidArgument, "Invalid Input Error: a batch of rows came twice.");
    early_bytes_ += rows.rows.size();
    early_[rows.batch] = {std::string(rows.rows), rows.chunks};
  } else if (rows.chunks > 0) {
    window_bytes_ += rows.rows.size();
    window_.push_back({std::string(rows.rows), rows.chunks});
  }
  for (auto at = early_.find(next_); at != early_.end(); at = early_.find(next_)) {
    early_bytes_ -= at->second.bytes.size();
    window_bytes_ += at->second.bytes.size();
    window_.push_back(std::move(at->second));
    early_.erase(at);
    ++next_;
  }
  if (early_bytes_ > kMaxEarlyBytes) {
    return base::Fail(ErrorCode::kResourceExhausted,
                      "Out of Memory Error: too many rows came before those that belong in front of them.");
  }
  if (rows.chunks > 0) ++received_;
  return {};
}

// Returns with an outcome, or as the writer.
Result<void> Upload::BecomeWriter(Lock& lock, const session::Caller& caller) {
  while (has_writer_ && !outcome_) {
    if (caller.gone()) return base::Fail(ErrorCode::kCancelled, "The call was cancelled.");
    changed_.wait_for(lock, kGoneCheck);
  }
  if (outcome_) return *outcome_ ? Result<void>() : std::unexpected(outcome_->error());
  has_writer_ = true;
  return {};
}

void Upload::LeaveAsWriter(Lock& lock) {
  // Failed in the meantime: nobody else has undone it.
  if (outcome_ && !*outcome_ && !std::exchange(gave_up_, true)) {
    lock.unlock();
    GiveUp();
    lock.lock();
  }
  has_writer_ = false;
  changed_.notify_all();
}

Result<void> Upload::Write(Lock& lock, const session::Caller& caller) {
  if (window_bytes_ < kWindowBytes && !complete()) return {};
  const bool last = complete();
  if (auto written = WriteWindow(lock, caller); !written) {
    SetOutcome(std::unexpected(written.error()));
    return written;
  }
  if (outcome_) return std::unexpected(outcome_->error());
  if (!last) return {};
  Result<void> ended;
  if (!transaction_.empty()) {
    lock.unlock();
    ended = runner_.End(Within(caller), true);
    lock.lock();
  }
  // A commit that has come through counts, whatever came in the meantime.
  if (ended) {
    outcome_ = written_;
    failed_.store(false);
    gave_up_ = true;
  } else {
    SetOutcome(std::unexpected(ended.error()));
  }
  return ended;
}

Result<void> Upload::WriteWindow(Lock& lock, const session::Caller& caller) {
  const auto window = std::exchange(window_, {});
  window_bytes_ = 0;
  if (window.empty()) return {};
  wrote_ = true;
  lock.unlock();
  std::vector<std::string_view> chunks;
  for (const auto& [rows, count] : window) Split(rows, count, chunks);
  auto written = runner_.InsertChunks(Within(caller), sql_, chunks);
  lock.lock();
  if (!written) return std::unexpected(written.error());
  written_ += *written;
  return {};
}

void Upload::SetOutcome(base::Result<int64_t> outcome) {
  if (outcome_) return;
  failed_.store(!outcome);
  outcome_ = std::move(outcome);
  changed_.notify_all();
}

void Upload::Fail(base::Error why) {
  Lock lock(mutex_);
  SetOutcome(std::unexpected(std::move(why)));
  if (has_writer_ || *outcome_ || gave_up_) return;
  has_writer_ = true;
  LeaveAsWriter(lock);
}

// Undoes what was written. As the writer, without the lock.
void Upload::GiveUp() {
  // The session may have been closed with all that was in it.
  if (!runner_.sessions().StateOf(session_name_)) return;
  session::Caller caller;
  caller.connection_name = session_name_;
  caller.gone = [] { return false; };
  caller.deadline = base::Clock::System().Now() + kConnectionWait;
  caller.use.transaction = transaction_;
  Result<void> undone;
  if (!transaction_.empty()) {
    undone = runner_.End(caller, false);
  } else if (wrote_) {
    undone = runner_.Spoil(caller);
  }
  // An error of a statement may have ended the transaction already.
  if (!undone && undone.error().code != ErrorCode::kNotFound) {
    telemetry::Log(telemetry::Level::kWarn, "An upload could not be undone",
                   {{"reason", undone.error().message}});
  }
}

Result<int64_t> Upload::Await(const session::Caller& caller) {
  Lock lock(mutex_);
  while (!outcome_) {
    if (caller.gone()) return base::Fail(ErrorCode::kCancelled, "The call was cancelled.");
    changed_.wait_for(lock, kGoneCheck);
  }
  return *outcome_;
}

void Upload::AwaitWriter(const session::Caller& caller) {
  Lock lock(mutex_);
  while (has_writer_ && !caller.gone() && base::Clock::System().Now() < caller.deadline)
    changed_.wait_for(lock, kGoneCheck);
}

}  // namespace pondpilot::worker::quack
