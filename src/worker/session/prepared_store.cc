#include "worker/session/prepared_store.h"

#include <algorithm>
#include <utility>

#include "base/secret.h"

namespace pondpilot::worker::session {
namespace {

std::unexpected<base::Error> Unknown() {
  return base::Fail(
      base::ErrorCode::kNotFound,
      "This prepared statement was closed, has expired or is none of this server's. Prepare it again.");
}

}  // namespace

std::string PreparedStore::Put(std::string sql) {
  std::string handle = base::RandomHex(16);
  const std::lock_guard lock(mutex_);
  text_bytes_ += sql.size();
  while (!entries_.empty() && (entries_.size() >= limits_.statements || text_bytes_ > limits_.text_bytes)) {
    const auto oldest = std::ranges::min_element(
        entries_, [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; });
    text_bytes_ -= oldest->second.sql.size();
    entries_.erase(oldest);
  }
  entries_.emplace(handle, Entry{std::move(sql), clock_.Now()});
  return handle;
}

base::Result<std::string> PreparedStore::Get(std::string_view handle) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(std::string(handle));
  if (found == entries_.end()) return Unknown();
  found->second.last_used = clock_.Now();
  return found->second.sql;
}

base::Result<void> PreparedStore::Close(std::string_view handle) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(std::string(handle));
  if (found == entries_.end()) return Unknown();
  text_bytes_ -= found->second.sql.size();
  entries_.erase(found);
  return {};
}

void PreparedStore::Sweep() {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.Now();
  std::erase_if(entries_, [&](const auto& entry) {
    if (now - entry.second.last_used < limits_.idle) return false;
    text_bytes_ -= entry.second.sql.size();
    return true;
  });
}

}  // namespace pondpilot::worker::session
