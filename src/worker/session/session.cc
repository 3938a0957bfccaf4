#include "worker/session/session.h"

#include <algorithm>
#include <string>
#include <utility>

namespace pondpilot::worker::session {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

// How soon a statement that waits notices that its caller has left.
constexpr std::chrono::milliseconds kGoneCheck{20};

}  // namespace

ConnectionLease::ConnectionLease(std::shared_ptr<Session> session, engine::Connection* connection)
    : session_(std::move(session)), connection_(connection) {}

ConnectionLease::ConnectionLease(ConnectionLease&& other) noexcept
    : session_(std::move(other.session_)), connection_(std::exchange(other.connection_, nullptr)) {}

ConnectionLease::~ConnectionLease() {
  if (connection_ != nullptr) session_->Release(connection_);
}

Result<void> ConnectionLease::Settle() { return session_->Settle(connection_); }

Session::Session(engine::Engine& engine, const base::Clock& clock)
    : engine_(engine), clock_(clock), last_used_(clock.Now()) {}

Session::Slot* Session::Stateful() {
  const auto found =
      std::ranges::find_if(slots_, [](const auto& slot) { return slot->has_state && !slot->superseded; });
  return found == slots_.end() ? nullptr : found->get();
}

Session::Slot& Session::Find(const engine::Connection* connection) {
  return **std::ranges::find_if(slots_,
                                [&](const auto& slot) { return slot->connection.get() == connection; });
}

// A free connection, nullptr when there is none to be had now.
Result<Session::Slot*> Session::TryTake() {
  Slot* slot = Stateful();
  if (slot != nullptr) {
    if (slot->busy) return nullptr;
  } else if (const auto free = std::ranges::find_if(slots_, [](const auto& one) { return !one->busy; });
             free != slots_.end()) {
    slot = free->get();
  } else if (slots_.size() < kMaxConnections) {
    auto opened = engine_.Connect();
    if (!opened) return std::unexpected(opened.error());
    slots_.push_back(std::make_unique<Slot>());
    slot = slots_.back().get();
    slot->connection = std::move(*opened);
  } else {
    return nullptr;
  }
  slot->busy = true;
  return slot;
}

Result<ConnectionLease> Session::Acquire(base::Clock::Steady deadline, const std::function<bool()>& gone) {
  std::unique_lock lock(mutex_);
  last_used_ = clock_.Now();
  const void* self = &lock;
  const auto leave = [&] {
    std::erase(waiting_, self);
    changed_.notify_all();  // the next in line may find what this one did not take
  };
  for (;;) {
    if (waiting_.empty() || waiting_.front() == self) {
      auto slot = TryTake();
      if (!slot || *slot != nullptr) {
        leave();
        if (!slot) return std::unexpected(slot.error());
        return ConnectionLease(shared_from_this(), (*slot)->connection.get());
      }
    }
    if (std::ranges::find(waiting_, self) == waiting_.end()) {
      if (waiting_.size() >= kMaxWaiting) {
        return Fail(ErrorCode::kResourceExhausted,
                    "Too many statements wait for this connection (" + std::to_string(kMaxWaiting) +
                        "). Wait for some of them, or use a second connection.");
      }
      waiting_.push_back(self);
    }
    if (gone()) {
      leave();
      return Fail(ErrorCode::kCancelled, "The call was cancelled.");
    }
    if (clock_.Now() >= deadline) {
      leave();
      return Fail(
          ErrorCode::kFailedPrecondition,
          "Another statement of this connection is still running or its result is not read to the end. "
          "Read or close that result first, or use a second connection.");
    }
    changed_.wait_for(lock, kGoneCheck);
  }
}

Result<void> Session::Settle(const engine::Connection* connection) {
  const std::lock_guard lock(mutex_);
  Slot& slot = Find(connection);
  Look(slot);
  if (!slot.superseded) return {};
  return Fail(
      ErrorCode::kAborted,
      "Another statement of this connection changed its settings, temporary tables or transaction at "
      "the same time. Those are kept, what this statement changed of them is not; rows that it wrote "
      "elsewhere are written. Look before you run it again, and run such statements one after the other or "
      "over connections of their own.");
}

void Session::Look(Slot& slot) {
  slot.has_state = slot.connection->HasState();
  slot.in_transaction = slot.connection->InTransaction();
  const bool another_was_first = std::ranges::any_of(slots_, [&](const auto& other) {
    return other.get() != &slot && other->has_state && !other->superseded;
  });
  slot.superseded = slot.superseded || (slot.has_state && another_was_first);
}

void Session::Release(const engine::Connection* connection) {
  std::unique_ptr<Slot> closed;  // after the lock: closing a connection takes its time
  const std::lock_guard lock(mutex_);
  last_used_ = clock_.Now();
  Slot& slot = Find(connection);
  slot.busy = false;
  Look(slot);
  const Slot* stateful = Stateful();
  const bool stale = slot.superseded || (stateful != nullptr && stateful != &slot);
  const auto free =
      std::ranges::count_if(slots_, [](const auto& one) { return !one->busy && !one->has_state; });
  if (stale || (!slot.has_state && std::cmp_greater(free, kMaxFree))) {
    const auto at = std::ranges::find_if(slots_, [&](const auto& one) { return one.get() == &slot; });
    closed = std::move(*at);
    slots_.erase(at);
  }
  changed_.notify_all();
}

Session::State Session::state() const {
  const std::lock_guard lock(mutex_);
  State state{!waiting_.empty(), false, false, last_used_};
  for (const auto& slot : slots_) {
    state.busy = state.busy || slot->busy;
    state.has_state = state.has_state || slot->has_state;
    state.in_transaction = state.in_transaction || slot->in_transaction;
  }
  return state;
}

}  // namespace pondpilot::worker::session
