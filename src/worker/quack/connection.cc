#include "worker/quack/connection.h"

#include <algorithm>
#include <utility>

namespace pondpilot::worker::quack {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

// While a lease may end, and otherwise.
constexpr std::chrono::seconds kSweepEvery(5);
constexpr std::chrono::seconds kSweepOldEvery(60);
constexpr size_t kMaxExpired = 256;

}  // namespace

Connection::Call::Call(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {
  const std::lock_guard lock(connection_->mutex_);
  ++connection_->calls_;
}

Connection::Call::~Call() {
  if (connection_ == nullptr) return;
  const std::lock_guard lock(connection_->mutex_);
  --connection_->calls_;
  connection_->last_used_ = connection_->clock_.Now();
}

Connection::Flag Connection::Running(const wire::ResultId& id) {
  const std::lock_guard lock(mutex_);
  auto flag = std::make_shared<std::atomic<bool>>(closed_.load());
  running_[id] = flag;
  return flag;
}

void Connection::Keep(const wire::ResultId& id, const Flag& flag, std::shared_ptr<OpenRows> rows) {
  std::shared_ptr<OpenRows> before;  // ends after the lock
  const std::lock_guard lock(mutex_);
  // Cancelled at the last moment: its destructor stops it.
  if (flag->load() || closed_.load()) return;
  Result& kept = rows_[id];
  before = std::exchange(kept.rows, std::move(rows));
  kept.last_fetched = clock_.Now();
}

void Connection::Keep(const wire::ResultId& id, const Flag& flag, std::shared_ptr<Upload> upload) {
  std::shared_ptr<Upload> dropped = std::move(upload);  // ends after the lock
  const std::lock_guard lock(mutex_);
  if (!flag->load() && !closed_.load()) std::swap(uploads_[id], dropped);
}

void Connection::Ended(const wire::ResultId& id, const Flag& flag) {
  const std::lock_guard lock(mutex_);
  if (const auto at = running_.find(id); at != running_.end() && at->second == flag) running_.erase(at);
}

void Connection::EndUpload(const wire::ResultId& id) {
  std::shared_ptr<Upload> upload;  // ends after the lock
  const std::lock_guard lock(mutex_);
  if (const auto at = uploads_.find(id); at != uploads_.end()) {
    upload = std::move(at->second);
    uploads_.erase(at);
  }
}

std::shared_ptr<OpenRows> Connection::FindRows(const wire::ResultId& id) {
  const std::lock_guard lock(mutex_);
  const auto at = rows_.find(id);
  if (at == rows_.end()) return nullptr;
  at->second.last_fetched = clock_.Now();
  return at->second.rows;
}

void Connection::NoteFetched(const wire::ResultId& id) {
  const std::lock_guard lock(mutex_);
  if (const auto at = rows_.find(id); at != rows_.end()) at->second.last_fetched = clock_.Now();
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
      rows = std::move(at->second.rows);
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

std::vector<std::shared_ptr<Upload>> Connection::CancelAll(bool also_running) {
  Results rows;
  std::vector<std::shared_ptr<Upload>> uploads;
  {
    const std::lock_guard lock(mutex_);
    rows.swap(rows_);
    for (auto& [id, upload] : uploads_) uploads.push_back(std::move(upload));
    uploads_.clear();
    if (also_running) {
      for (const auto& [id, flag] : running_) flag->store(true);
    }
  }
  for (const auto& [id, one] : rows) one.rows->Cancel();
  for (const auto& one : uploads) one->Cancel();
  return uploads;
}

void Connection::MakeRoom() {
  Results closed;
  {
    const std::lock_guard lock(mutex_);
    auto in_use = running_.size();
    for (const auto& [id, one] : rows_) in_use += one.rows->over() ? 0 : 1;
    for (; in_use >= kMaxOpenOld; --in_use) {
      auto oldest = rows_.end();
      for (auto at = rows_.begin(); at != rows_.end(); ++at) {
        if (!IsIdle(*at)) continue;
        if (oldest == rows_.end() || at->second.last_fetched < oldest->second.last_fetched) oldest = at;
      }
      if (oldest == rows_.end()) break;
      closed.insert(rows_.extract(oldest));
    }
  }
  for (const auto& [id, one] : closed) one.rows->Cancel();
}

void Connection::CloseForgotten(std::chrono::seconds life) {
  Results closed;
  {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.Now();
    for (auto at = rows_.begin(); at != rows_.end();) {
      const auto one = at++;
      if (IsIdle(*one) && now - one->second.last_fetched >= life) closed.insert(rows_.extract(one));
    }
  }
  for (const auto& [id, one] : closed) one.rows->Cancel();
}

void Connection::ForgetEnded() {
  Results over;  // end after the lock
  const std::lock_guard lock(mutex_);
  for (auto at = rows_.begin(); at != rows_.end();) {
    const auto one = at++;
    if (!one->second.rows->over()) continue;
    if (dialect_ == wire::Dialect::kV1 && one->second.rows->ended()) ended_.push_back(one->first);
    over.insert(rows_.extract(one));
  }
  while (ended_.size() > kMaxEnded) ended_.pop_front();
}

bool Connection::HasEnded(const wire::ResultId& id) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::find(ended_, id) != ended_.end();
}

void Connection::MarkLost() {
  const std::lock_guard lock(mutex_);
  lost_ = true;
}

bool Connection::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

bool Connection::TakeLost() {
  const std::lock_guard lock(mutex_);
  return std::exchange(lost_, false);
}

void Connection::Close() {
  closed_.store(true);
  CancelAll(true);
}

bool Connection::holds_results() const {
  const std::lock_guard lock(mutex_);
  return !uploads_.empty() || !running_.empty() ||
         std::ranges::any_of(rows_, [](const auto& one) { return !one.second.rows->over(); });
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

Result<Connection::Call> Connections::Get(const std::string& name, wire::Dialect dialect) {
  const std::lock_guard lock(mutex_);
  if (const auto at = connections_.find(name); at != connections_.end()) return Connection::Call(at->second);
  if (connections_.size() >= kMaxConnections) {
    auto oldest = connections_.end();
    base::Clock::Steady longest;
    for (auto at = connections_.begin(); at != connections_.end(); ++at) {
      const auto since = at->second->idle_since();
      if (!since || at->second->holds_results() || at->second->lost()) continue;
      if (oldest != connections_.end() && *since >= longest) continue;
      oldest = at;
      longest = *since;
    }
    if (oldest == connections_.end()) {
      return Fail(ErrorCode::kResourceExhausted,
                  "Connection Error: too many Quack connections have open results. DETACH some of them.");
    }
    connections_.erase(oldest);
  }
  auto made = std::make_shared<Connection>("quack:" + name, dialect, clock_);
  if (const auto at = std::ranges::find(expired_, name); at != expired_.end()) {
    expired_.erase(at);
    made->MarkLost();
  }
  connections_[name] = made;
  changed_.notify_all();
  return Connection::Call(std::move(made));
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
  std::vector<std::shared_ptr<Connection>> old;
  {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.Now();
    std::erase_if(connections_, [&](const auto& one) {
      const auto& connection = one.second;
      const auto since = connection->idle_since();
      const auto state = runner_.sessions().StateOf(connection->session_name());
      const bool holds_results = connection->holds_results();
      if (connection->dialect() == wire::Dialect::kV1) {
        // Its session has a life of its own.
        if (since && !state && !holds_results) return true;
        old.push_back(connection);
        return false;
      }
      if (!since || now - *since < kLease) return false;
      if (holds_results || connection->lost() || (state && state->has_state)) {
        expired_.push_back(one.first);
        if (expired_.size() > kMaxExpired) expired_.erase(expired_.begin());
      }
      silent.push_back(connection);
      return true;
    });
  }
  for (const auto& connection : silent) End(connection);
  for (const auto& connection : old) connection->CloseForgotten(kOldResultLife);
}

size_t Connections::size() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

bool Connections::HasLeases() const {
  return std::ranges::any_of(connections_,
                             [](const auto& one) { return one.second->dialect() == wire::Dialect::kV3; });
}

void Connections::SweepLoop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !connections_.empty(); });
    const bool leases = HasLeases();
    changed_.wait_for(lock, leases ? kSweepEvery : kSweepOldEvery,
                      [&] { return stopping_ || (!leases && HasLeases()); });
    if (stopping_) return;
    lock.unlock();
    Sweep();
    lock.lock();
  }
}

}  // namespace pondpilot::worker::quack
