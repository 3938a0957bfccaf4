#include "worker/session/session_registry.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "telemetry/log.h"

namespace pondpilot::worker::session {

using base::ErrorCode;
using base::Fail;

base::Result<std::shared_ptr<Session>> SessionRegistry::Get(const std::string& connection_name) {
  if (connection_name.size() > kMaxNameBytes) {
    return Fail(ErrorCode::kInvalidArgument,
                "The name of the connection is longer than " + std::to_string(kMaxNameBytes) + " bytes.");
  }
  std::shared_ptr<Session> closed;  // destroyed outside the lock
  const std::lock_guard lock(mutex_);
  if (const auto found = sessions_.find(connection_name); found != sessions_.end()) return found->second;
  if (const auto lost = std::ranges::find(lost_, connection_name, &Lost::connection_name);
      lost != lost_.end()) {
    std::string message = std::move(lost->message);
    lost_.erase(lost);
    return Fail(ErrorCode::kAborted, std::move(message));
  }
  if (sessions_.size() >= kMaxSessions) {
    auto oldest = sessions_.end();
    std::tuple<bool, bool, base::Clock::Steady> least;
    for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
      const Session::State state = it->second->state();
      if (state.busy || it->second.use_count() > 1) continue;
      const std::tuple rank(state.in_transaction, state.has_state, state.last_used);
      if (oldest == sessions_.end() || rank < least) {
        oldest = it;
        least = rank;
      }
    }
    if (oldest == sessions_.end()) {
      return Fail(ErrorCode::kResourceExhausted,
                  "Too many connections of this user run statements at once; close some and try again.");
    }
    NoteLost(oldest->first, oldest->second->state(),
             "to make room: this user has more than " + std::to_string(kMaxSessions) + " sessions");
    closed = std::move(oldest->second);
    sessions_.erase(oldest);
  }
  auto session = std::make_shared<Session>(engine_, clock_);
  sessions_.emplace(connection_name, session);
  return session;
}

base::Result<std::shared_ptr<Session>> SessionRegistry::Alone() {
  auto session = std::make_shared<Session>(engine_, clock_);
  const std::lock_guard lock(mutex_);
  std::erase_if(alone_, [](const auto& one) { return one.expired(); });
  if (alone_.size() >= kMaxAlone) {
    return Fail(ErrorCode::kResourceExhausted,
                "This user reads or writes " + std::to_string(alone_.size()) +
                    " tables at the same time, the most that are allowed. Read results to their end or close "
                    "them, and try again.");
  }
  alone_.push_back(session);
  return session;
}

void SessionRegistry::NoteLost(const std::string& connection_name, const Session::State& state,
                               std::string_view why) {
  if (!state.has_state) return;
  telemetry::Log(telemetry::Level::kWarn, "A session with state was closed", {{"why", why}});
  if (lost_.size() >= kMaxLost) lost_.pop_front();
  std::string message = "The session of this connection was closed " + std::string(why) + ". ";
  message += state.in_transaction ? "Its open transaction was rolled back, its temporary tables"
                                  : "Its temporary tables";
  message += " and settings are gone, and this statement did not run. The next one starts a new session.";
  lost_.push_back({connection_name, std::move(message), clock_.Now()});
}

bool SessionRegistry::Close(const std::string& connection_name) {
  std::shared_ptr<Session> closed;
  const std::lock_guard lock(mutex_);
  std::erase_if(lost_, [&](const Lost& lost) { return lost.connection_name == connection_name; });
  const auto found = sessions_.find(connection_name);
  if (found == sessions_.end()) return false;
  closed = std::move(found->second);
  sessions_.erase(found);
  return true;
}

std::optional<Session::State> SessionRegistry::StateOf(const std::string& connection_name) const {
  std::shared_ptr<Session> session;
  {
    const std::lock_guard lock(mutex_);
    const auto at = sessions_.find(connection_name);
    if (at == sessions_.end()) return std::nullopt;
    session = at->second;
  }
  return session->state();
}

void SessionRegistry::Sweep() {
  const auto now = clock_.Now();
  for (const auto& session : All()) session->SweepTransactions(now, kTransactionIdleLife);
  std::vector<std::shared_ptr<Session>> closed;
  const std::lock_guard lock(mutex_);
  while (!lost_.empty() && now - lost_.front().since > kLostLife) lost_.pop_front();
  std::erase_if(sessions_, [&](auto& entry) {
    const Session::State state = entry.second->state();
    const auto life = state.in_transaction ? kTransactionIdleLife : kIdleLife;
    if (entry.second.use_count() > 1 || state.busy || now - state.last_used < life) return false;
    NoteLost(entry.first, state,
             "after " + std::to_string(std::chrono::duration_cast<std::chrono::minutes>(life).count()) +
                 " minutes without use");
    closed.push_back(std::move(entry.second));
    return true;
  });
}

std::vector<std::shared_ptr<Session>> SessionRegistry::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Session>> all;
  all.reserve(sessions_.size());
  for (const auto& [name, session] : sessions_) all.push_back(session);
  return all;
}

SessionRegistry::Counts SessionRegistry::Count() const {
  const std::lock_guard lock(mutex_);
  Counts counts;
  counts.sessions = static_cast<uint32_t>(sessions_.size());
  for (const auto& [name, session] : sessions_) {
    const Session::State state = session->state();
    counts.open_transactions += state.in_transaction ? 1 : 0;
    counts.with_state += state.has_state ? 1 : 0;
  }
  return counts;
}

}  // namespace pondpilot::worker::session
