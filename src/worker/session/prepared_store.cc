#include "worker/session/prepared_store.h"

#include <utility>

#include "base/secret.h"

namespace pondpilot::worker::session {

base::Result<PreparedStore::Entries::iterator> PreparedStore::Find(const std::string& session,
                                                                   std::string_view handle) {
  const auto found = entries_.find(std::string(handle));
  if (found != entries_.end() && found->second.session == session) return found;
  return base::Fail(
      base::ErrorCode::kNotFound,
      "This prepared statement was closed, has expired or is none of this connection's. Prepare it "
      "again.");
}

void PreparedStore::MakeRoom(const std::string& but) {
  while (entries_.size() > limits_.statements || bytes_ > limits_.bytes) {
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->first == but) continue;
      if (oldest == entries_.end() || it->second.last_used < oldest->second.last_used) oldest = it;
    }
    if (oldest == entries_.end()) return;
    bytes_ -= oldest->second.bytes;
    entries_.erase(oldest);
  }
}

std::string PreparedStore::Put(const std::string& session, Statement statement) {
  std::string handle = base::RandomHex(16);
  const std::lock_guard lock(mutex_);
  const size_t bytes = statement.sql.size();
  bytes_ += bytes;
  entries_.emplace(handle, Entry{session, std::move(statement), bytes, clock_.Now()});
  MakeRoom(handle);
  return handle;
}

base::Result<Statement> PreparedStore::Get(const std::string& session, std::string_view handle) {
  const std::lock_guard lock(mutex_);
  auto found = Find(session, handle);
  if (!found) return std::unexpected(found.error());
  Entry& entry = (*found)->second;
  entry.last_used = clock_.Now();
  return entry.statement;
}

base::Result<void> PreparedStore::Bind(const std::string& session, std::string_view handle,
                                       std::shared_ptr<const engine::ParameterRows> values, size_t bytes) {
  std::shared_ptr<const engine::ParameterRows> replaced;  // freed outside the lock
  const std::lock_guard lock(mutex_);
  auto found = Find(session, handle);
  if (!found) return std::unexpected(found.error());
  Entry& entry = (*found)->second;
  const size_t all = entry.statement.sql.size() + bytes;
  if (all > limits_.bytes) {
    return base::Fail(base::ErrorCode::kResourceExhausted,
                      "The values have " + std::to_string(bytes) + " bytes; a prepared statement may have " +
                          std::to_string(limits_.bytes) + ". Bind them in parts, or load them by ingest.");
  }
  bytes_ = bytes_ - entry.bytes + all;
  entry.bytes = all;
  entry.last_used = clock_.Now();
  replaced = std::exchange(entry.statement.values, std::move(values));
  MakeRoom(std::string(handle));
  return {};
}

base::Result<void> PreparedStore::Close(const std::string& session, std::string_view handle) {
  const std::lock_guard lock(mutex_);
  auto found = Find(session, handle);
  if (!found) return std::unexpected(found.error());
  bytes_ -= (*found)->second.bytes;
  entries_.erase(*found);
  return {};
}

void PreparedStore::CloseSession(const std::string& session) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& entry) {
    if (entry.second.session != session) return false;
    bytes_ -= entry.second.bytes;
    return true;
  });
}

void PreparedStore::Sweep() {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.Now();
  std::erase_if(entries_, [&](const auto& entry) {
    if (now - entry.second.last_used < limits_.idle) return false;
    bytes_ -= entry.second.bytes;
    return true;
  });
}

size_t PreparedStore::Count() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace pondpilot::worker::session
