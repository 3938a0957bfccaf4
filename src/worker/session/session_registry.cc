#include "worker/session/session_registry.h"

#include <tuple>

namespace pondpilot::worker::session {

base::Result<std::shared_ptr<Session>> SessionRegistry::Get(const std::string& connection_name) {
  std::shared_ptr<Session> closed;  // destroyed outside the lock
  const std::lock_guard lock(mutex_);
  if (const auto found = sessions_.find(connection_name); found != sessions_.end()) return found->second;
  if (sessions_.size() >= kMaxSessions) {
    auto oldest = sessions_.end();
    const auto rank = [](const Session& session) {
      return std::tuple(session.HasState(), session.last_used());
    };
    for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
      if (it->second->Busy() || it->second.use_count() > 1) continue;
      if (oldest == sessions_.end() || rank(*it->second) < rank(*oldest->second)) oldest = it;
    }
    if (oldest == sessions_.end()) {
      return base::Fail(
          base::ErrorCode::kResourceExhausted,
          "Too many connections of this user run statements at once; close some and try again.");
    }
    closed = std::move(oldest->second);
    sessions_.erase(oldest);
  }
  auto session = std::make_shared<Session>(engine_, clock_);
  sessions_.emplace(connection_name, session);
  return session;
}

void SessionRegistry::Sweep() {
  std::vector<std::shared_ptr<Session>> closed;
  const std::lock_guard lock(mutex_);
  const auto limit = clock_.Now() - kIdleLife;
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    if (it->second.use_count() == 1 && !it->second->Busy() && it->second->last_used() < limit) {
      closed.push_back(std::move(it->second));
      it = sessions_.erase(it);
    } else {
      ++it;
    }
  }
}

SessionRegistry::Counts SessionRegistry::Count() const {
  const std::lock_guard lock(mutex_);
  Counts counts;
  counts.sessions = static_cast<uint32_t>(sessions_.size());
  for (const auto& [name, session] : sessions_) counts.open_transactions += session->InTransaction() ? 1 : 0;
  return counts;
}

}  // namespace pondpilot::worker::session
