#include "worker/session/session.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/secret.h"
#include "telemetry/log.h"

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

Result<std::string> ConnectionLease::NameTransaction() { return session_->NameTransaction(connection_); }

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

Session::Slot* Session::Named(const std::string& transaction) const {
  const auto found = std::ranges::find_if(slots_, [&](const auto& slot) {
    return !slot->transaction.empty() && slot->transaction == transaction;
  });
  return found == slots_.end() ? nullptr : found->get();
}

// A free connection, nullptr when there is none to be had now.
Result<Session::Slot*> Session::TryTake(const Use& use) {
  Slot* slot = nullptr;
  if (!use.transaction.empty()) {
    slot = Named(use.transaction);
    if (slot == nullptr) {
      return Fail(
          ErrorCode::kNotFound,
          "There is no open transaction under this handle: it was ended, was rolled back after a time "
          "without use, or belongs to another connection. Begin a new one.");
    }
    if (slot->busy) return nullptr;
  } else {
    auto taken = TryTakeBeside(use);
    if (!taken || *taken == nullptr) return taken;
    slot = *taken;
  }
  slot->busy = true;
  if (!slot->transaction.empty()) slot->transaction_used = clock_.Now();
  return slot;
}

// For a call without a handle.
Result<Session::Slot*> Session::TryTakeBeside(const Use& use) {
  const auto has_transaction = [](const auto& slot) { return !slot->transaction.empty(); };
  Slot* stateful = Stateful();
  if (use.joins_transaction && std::ranges::count_if(slots_, has_transaction) == 1) {
    stateful = std::ranges::find_if(slots_, has_transaction)->get();
  } else if (stateful != nullptr && !stateful->transaction.empty() && !use.joins_transaction) {
    return Fail(
        ErrorCode::kFailedPrecondition,
        "The temporary tables and settings of this connection are inside its open transaction. Send the "
        "transaction's handle with the statement, or end the transaction first.");
  }
  if (stateful != nullptr) return stateful->busy ? nullptr : stateful;
  if (const auto free =
          std::ranges::find_if(slots_, [&](const auto& one) { return !one->busy && !has_transaction(one); });
      free != slots_.end()) {
    return free->get();
  }
  if (slots_.size() >= kMaxConnections) return nullptr;
  auto opened = engine_.Connect();
  if (!opened) return std::unexpected(opened.error());
  slots_.push_back(std::make_unique<Slot>());
  slots_.back()->connection = std::move(*opened);
  return slots_.back().get();
}

bool Session::IsNext(const void* who, const std::string& transaction) const {
  for (const Waiting& one : waiting_) {
    if (one.who == who) return true;
    if (one.transaction == transaction) return false;
  }
  return true;
}

Result<ConnectionLease> Session::Acquire(const Use& use, base::Clock::Steady deadline,
                                         const std::function<bool()>& gone) {
  std::unique_lock lock(mutex_);
  last_used_ = clock_.Now();
  const void* self = &lock;
  const auto leave = [&] {
    std::erase_if(waiting_, [&](const Waiting& one) { return one.who == self; });
    changed_.notify_all();  // the next in line may find what this one did not take
  };
  for (;;) {
    if (IsNext(self, use.transaction)) {
      auto slot = TryTake(use);
      if (!slot || *slot != nullptr) {
        leave();
        if (!slot) return std::unexpected(slot.error());
        return ConnectionLease(shared_from_this(), (*slot)->connection.get());
      }
    }
    if (std::ranges::find(waiting_, self, &Waiting::who) == waiting_.end()) {
      if (waiting_.size() >= kMaxWaiting) {
        return Fail(ErrorCode::kResourceExhausted,
                    "Too many statements wait for this connection (" + std::to_string(kMaxWaiting) +
                        "). Wait for some of them, or use a second connection.");
      }
      waiting_.push_back({self, use.transaction});
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
  // COMMIT and ROLLBACK as text end it as well.
  if (!slot.in_transaction) slot.transaction.clear();
  if (!slot.transaction.empty()) {
    slot.transaction_used = last_used_;
    changed_.notify_all();
    return;
  }
  const Slot* stateful = Stateful();
  const bool stale = slot.superseded || (stateful != nullptr && stateful != &slot);
  const auto free = std::ranges::count_if(
      slots_, [](const auto& one) { return !one->busy && !one->has_state && one->transaction.empty(); });
  if (stale || (!slot.has_state && std::cmp_greater(free, kMaxFree))) {
    const auto at = std::ranges::find_if(slots_, [&](const auto& one) { return one.get() == &slot; });
    closed = std::move(*at);
    slots_.erase(at);
  }
  changed_.notify_all();
}

Result<std::string> Session::NameTransaction(const engine::Connection* connection) {
  const std::lock_guard lock(mutex_);
  const auto open =
      std::ranges::count_if(slots_, [](const auto& slot) { return !slot->transaction.empty(); });
  if (std::cmp_greater_equal(open, kMaxTransactions)) {
    return Fail(ErrorCode::kResourceExhausted, "This connection has " + std::to_string(open) +
                                                   " open transactions, the most that are allowed. End one "
                                                   "first, or use a second connection.");
  }
  Slot& slot = Find(connection);
  slot.transaction = base::RandomHex(16);
  slot.transaction_used = clock_.Now();
  return slot.transaction;
}

const engine::Connection* Session::FindTransaction(const std::string& handle) const {
  const std::lock_guard lock(mutex_);
  const Slot* slot = Named(handle);
  return slot == nullptr ? nullptr : slot->connection.get();
}

const engine::Connection* Session::InterruptTransaction(const std::string& handle) {
  const std::lock_guard lock(mutex_);
  const Slot* slot = Named(handle);
  if (slot == nullptr) return nullptr;
  slot->connection->Interrupt();
  return slot->connection.get();
}

void Session::SweepTransactions(base::Clock::Steady now, std::chrono::milliseconds life) {
  std::vector<engine::Connection*> abandoned;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& slot : slots_) {
      if (slot->transaction.empty() || slot->busy || now - slot->transaction_used < life) continue;
      slot->busy = true;
      slot->transaction.clear();
      abandoned.push_back(slot->connection.get());
    }
  }
  for (engine::Connection* connection : abandoned) {
    if (const auto ended = connection->End(false); !ended) {
      telemetry::Log(telemetry::Level::kWarn, "An abandoned transaction could not be rolled back",
                     {{"reason", ended.error().message}});
      // Nobody's later statements may land in it: it goes with its connection.
      const std::lock_guard lock(mutex_);
      Find(connection).superseded = true;
    }
    Release(connection);
  }
}

Session::State Session::state() const {
  const std::lock_guard lock(mutex_);
  State state{.busy = !waiting_.empty(), .last_used = last_used_};
  for (const auto& slot : slots_) {
    state.busy = state.busy || slot->busy;
    state.has_state = state.has_state || slot->has_state;
    state.in_transaction = state.in_transaction || slot->in_transaction;
    state.own_transaction =
        state.own_transaction || (slot->in_transaction && slot->transaction.empty() && !slot->superseded);
  }
  return state;
}

}  // namespace pondpilot::worker::session
