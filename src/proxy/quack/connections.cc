#include "proxy/quack/connections.h"

#include <algorithm>
#include <utility>

#include "base/secret.h"

namespace pondpilot::proxy::quack {

std::shared_ptr<Connection> Connections::Add(auth::Principal principal, wire::Dialect dialect) {
  const auto now = clock_.Now();
  while (!order_.empty() &&
         (order_.size() >= kMaxConnections || now - order_.back().last_used >= kIdleLife)) {
    Erase(std::prev(order_.end()));
  }
  if (of_user_[principal.user_id] >= kMaxPerUser) {
    const auto oldest = std::find_if(order_.rbegin(), order_.rend(), [&](const Entry& entry) {
      return entry.connection->principal.user_id == principal.user_id;
    });
    Erase(std::prev(oldest.base()));
  }
  auto connection = std::make_shared<Connection>();
  connection->id = base::RandomHex(wire::kIdBytes / 2);
  connection->name = base::RandomHex(16);
  connection->principal = std::move(principal);
  connection->dialect = dialect;
  ++of_user_[connection->principal.user_id];
  order_.push_front({connection, now});
  by_id_[connection->id] = order_.begin();
  return connection;
}

std::shared_ptr<Connection> Connections::Find(std::string_view id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return nullptr;
  const auto now = clock_.Now();
  if (now - found->second->last_used >= kIdleLife) {
    Erase(found->second);
    return nullptr;
  }
  found->second->last_used = now;
  order_.splice(order_.begin(), order_, found->second);
  return found->second->connection;
}

void Connections::Remove(const std::string& id) {
  if (const auto found = by_id_.find(id); found != by_id_.end()) Erase(found->second);
}

void Connections::Erase(Order::iterator at) {
  const std::shared_ptr<Connection> connection = at->connection;  // the views are of it
  by_id_.erase(connection->id);
  order_.erase(at);
  const auto user = of_user_.find(connection->principal.user_id);
  if (--user->second == 0) of_user_.erase(user);
}

}  // namespace pondpilot::proxy::quack
