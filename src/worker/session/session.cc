#include "worker/session/session.h"

#include <algorithm>
#include <utility>

namespace pondpilot::worker::session {

using base::ErrorCode;
using base::Fail;
using base::Result;

ConnectionLease::ConnectionLease(std::shared_ptr<Session> session, engine::Connection* connection)
    : session_(std::move(session)), connection_(connection) {}

ConnectionLease::ConnectionLease(ConnectionLease&& other) noexcept
    : session_(std::move(other.session_)), connection_(std::exchange(other.connection_, nullptr)) {}

ConnectionLease::~ConnectionLease() {
  if (connection_ != nullptr) session_->Release(connection_);
}

Session::Session(engine::Engine& engine, const base::Clock& clock)
    : engine_(engine), clock_(clock), last_used_(clock.Now()) {}

Result<ConnectionLease> Session::Acquire(base::Clock::Steady deadline, const std::function<bool()>& gone) {
  std::unique_lock lock(mutex_);
  last_used_ = clock_.Now();
  for (;;) {
    if (!primary_busy_) {
      if (!primary_) {
        auto opened = engine_.Connect();
        if (!opened) return std::unexpected(opened.error());
        primary_ = std::move(*opened);
      }
      primary_busy_ = true;
      return ConnectionLease(shared_from_this(), primary_.get());
    }
    if (!has_state_) {
      if (free_siblings_.empty() && siblings_.size() < kMaxSiblings) {
        auto opened = engine_.Connect();
        if (!opened) return std::unexpected(opened.error());
        siblings_.push_back(std::move(*opened));
        free_siblings_.push_back(siblings_.back().get());
      }
      if (!free_siblings_.empty()) {
        engine::Connection* connection = free_siblings_.back();
        free_siblings_.pop_back();
        return ConnectionLease(shared_from_this(), connection);
      }
    }
    if (gone()) return Fail(ErrorCode::kCancelled, "The call was cancelled.");
    if (clock_.Now() >= deadline) {
      return Fail(ErrorCode::kFailedPrecondition,
                  "Another statement of this connection is still running or its result is not read to the "
                  "end. Read or "
                  "close that result first, or use a second connection.");
    }
    released_.wait_for(lock, std::chrono::milliseconds(50));
  }
}

void Session::Release(engine::Connection* connection) {
  {
    const std::lock_guard lock(mutex_);
    last_used_ = clock_.Now();
    if (connection == primary_.get()) {
      has_state_ = primary_->HasState();
      in_transaction_ = primary_->InTransaction();
      primary_busy_ = false;
    } else if (connection->HasState()) {
      // A sibling that was given state (SET, TEMP) must not serve others with it: the statement came while
      // the primary was busy, and what it set ends with it.
      std::erase_if(siblings_, [&](const auto& sibling) { return sibling.get() == connection; });
    } else {
      free_siblings_.push_back(connection);
    }
  }
  released_.notify_one();
}

bool Session::Busy() const {
  const std::lock_guard lock(mutex_);
  return primary_busy_ || free_siblings_.size() != siblings_.size();
}

bool Session::HasState() const {
  const std::lock_guard lock(mutex_);
  return has_state_;
}

bool Session::InTransaction() const {
  const std::lock_guard lock(mutex_);
  return in_transaction_;
}

base::Clock::Steady Session::last_used() const {
  const std::lock_guard lock(mutex_);
  return last_used_;
}

}  // namespace pondpilot::worker::session
