#include "worker/quack/connection.h"

#include <algorithm>
#include <utility>

namespace pondpilot::worker::quack {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

constexpr std::chrono::seconds kSweepEvery(5);
constexpr size_t kMaxExpired = 256;

}  // namespace

Connection::Call::Call(std::shared_ptr<Connection> connection, const base::Clock& clock)
    : connection_(std::move(connection)), clock_(clock) {
  const std::lock_guard lock(connection_->mutex_);
  ++connection_->calls_;
}

Connection::Call::~Call() {
  const std::lock_guard lock(connection_->mutex_);
  --connection_->calls_;
  connection_->last_used_ = clock_.Now();
}

std::shared_ptr<const std::atomic<bool>> Connection::Running(const wire::ResultId& id) {
  const std::lock_guard lock(mutex_);
  auto cancelled = std::make_shared<std::atomic<bool>>(closed_.load());
  running_[id] = cancelled;
  return cancelled;
}

void Connection::Keep(const wire::ResultId& id, std::shared_ptr<OpenRows> rows) {
  const std::lock_guard lock(mutex_);
  const auto at = running_.find(id);
  // Cancelled at the last moment: its destructor stops it.
  if (at == running_.end() || at->second->load() || closed_.load()) return;
  running_.erase(at);
  rows_[id] = std::move(rows);
}

void Connection::Keep(const wire::ResultId& id, std::shared_ptr<Upload> upload) {
  const std::lock_guard lock(mutex_);
  if (!closed_.load()) uploads_[id] = std::move(upload);
}

void Connection::Ended(const wire::ResultId& id) {
  const std::lock_guard lock(mutex_);
  running_.erase(id);
  uploads_.erase(id);
}

std::shared_ptr<OpenRows> Connection::FindRows(const wire::ResultId& id) const {
  const std::lock_guard lock(mutex_);
  const auto at = rows_.find(id);
  return at == rows_.end() ? nullptr : at->second;
}

std::shared_ptr<Upload> Connection::FindUpload(const wire::ResultId& id) const {
  const std::lock_guard lock(mutex_);
  const auto at = uploads_.find(id);
  return at == uploads_.end() ? nullptr : at->second;
}

std::shared_ptr<Upload> Connection::FindUpload(std::string_view stream) const {
  const std::lock_guard lock(mutex_);
  const auto at =
      std::ranges::find_if(uploads_, [&](const auto& one) { return one.second->stream() == stream; });
  return at == uploads_.end() ? nullptr : at->second;
}

void Connection::Cancel(const wire::ResultId& id) {
  std::shared_ptr<OpenRows> rows;
  std::shared_ptr<Upload> upload;
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = running_.find(id); at != running_.end()) at->second->store(true);
    if (const auto at = rows_.find(id); at != rows_.end()) {
      rows = std::move(at->second);
      rows_.erase(at);
    }
    if (const auto at = uploads_.find(id); at != uploads_.end()) {
      upload = std::move(at->second);
      uploads_.erase(at);
    }
  }
  if (rows) rows->Cancel();
  if (upload) upload->Cancel();
}

void Connection::CancelAll(bool also_running) {
  std::map<wire::ResultId, std::shared_ptr<OpenRows>> rows;
  std::map<wire::ResultId, std::shared_ptr<Upload>> uploads;
  {
    const std::lock_guard lock(mutex_);
    rows.swap(rows_);
    uploads.swap(uploads_);
    if (also_running) {
      for (const auto& [id, cancelled] : running_) cancelled->store(true);
    }
  }
  for (const auto& [id, one] : rows) one->Cancel();
  for (const auto& [id, one] : uploads) one->Cancel();
}

void Connection::ForgetEnded() {
  const std::lock_guard lock(mutex_);
  std::erase_if(rows_, [](const auto& one) { return one.second->ended(); });
}

void Connection::Close() {
  closed_.store(true);
  CancelAll(true);
}

bool Connection::holds_results() const {
  const std::lock_guard lock(mutex_);
  return !uploads_.empty() || !running_.empty() ||
         std::ranges::any_of(rows_, [](const auto& one) { return !one.second->ended(); });
}

size_t Connection::open_results() const {
  const std::lock_guard lock(mutex_);
  return rows_.size() + uploads_.size();
}

std::optional<base::Clock::Steady> Connection::idle_since() const {
  const std::lock_guard lock(mutex_);
  if (calls_ > 0) return std::nullopt;
  return last_used_;
}

Connections::Connections(session::StatementRunner& runner, const base::Clock& clock)
    : runner_(runner), clock_(clock), sweeper_(&Connections::SweepLoop, this) {}

Connections::~Connections() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  sweeper_.join();
  for (const auto& [name, connection] : connections_) connection->Close();
}

Result<std::shared_ptr<Connection>> Connections::Get(const std::string& name, wire::Dialect dialect) {
  const std::lock_guard lock(mutex_);
  if (const auto at = std::ranges::find(expired_, name); at != expired_.end()) {
    expired_.erase(at);
    return Fail(
        ErrorCode::kAborted,
        "Connection Error: the connection was silent for longer than its lease; its transaction was rolled "
        "back, its open results and temporary tables are gone. Run the statement again.");
  }
  auto& connection = connections_[name];
  if (connection) return connection;
  if (connections_.size() > kMaxConnections) {
    auto oldest = connections_.end();
    for (auto at = connections_.begin(); at != connections_.end(); ++at) {
      if (!at->second || !at->second->idle_since() || at->second->holds_results()) continue;
      if (oldest == connections_.end() || *at->second->idle_since() < *oldest->second->idle_since())
        oldest = at;
    }
    if (oldest == connections_.end()) {
      connections_.erase(name);
      return Fail(ErrorCode::kResourceExhausted,
                  "Connection Error: too many Quack connections have open results. DETACH some of them.");
    }
    connections_.erase(oldest);
  }
  auto made = std::make_shared<Connection>("quack:" + name, dialect, clock_.Now());
  connections_[name] = made;
  changed_.notify_all();
  return made;
}

void Connections::End(const std::shared_ptr<Connection>& connection) {
  connection->Close();
  runner_.CloseSession(connection->session_name());
}

void Connections::Close(const std::string& name) {
  std::shared_ptr<Connection> connection;
  {
    const std::lock_guard lock(mutex_);
    const auto at = connections_.find(name);
    if (at == connections_.end()) return;
    connection = std::move(at->second);
    connections_.erase(at);
  }
  End(connection);
}

void Connections::Sweep() {
  std::vector<std::shared_ptr<Connection>> silent;
  std::vector<std::shared_ptr<Connection>> forgotten;
  {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.Now();
    std::erase_if(connections_, [&](const auto& one) {
      const auto since = one.second->idle_since();
      if (!since) return false;
      if (one.second->dialect() == wire::Dialect::kV1) {
        // Its session has a life of its own.
        if (now - *since >= kOldResultLife) forgotten.push_back(one.second);
        return false;
      }
      if (now - *since < kLease) return false;
      const auto state = runner_.sessions().StateOf(one.second->session_name());
      if (one.second->holds_results() || (state && state->has_state)) {
        expired_.push_back(one.first);
        if (expired_.size() > kMaxExpired) expired_.erase(expired_.begin());
      }
      silent.push_back(one.second);
      return true;
    });
  }
  for (const auto& connection : silent) End(connection);
  for (const auto& connection : forgotten) connection->CancelAll(false);
}

void Connections::SweepLoop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !connections_.empty(); });
    if (changed_.wait_for(lock, kSweepEvery, [this] { return stopping_; })) return;
    lock.unlock();
    Sweep();
    lock.lock();
  }
}

}  // namespace pondpilot::worker::quack
