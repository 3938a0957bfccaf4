#include "worker/session/ticket_store.h"

#include <algorithm>
#include <string>

#include "base/secret.h"

namespace pondpilot::worker::session {

std::string TicketStore::Put(std::unique_ptr<engine::ResultStream> stream) {
  std::list<Entry> dropped;  // destroyed outside the lock: that cancels their statements
  std::string ticket = base::RandomHex(16);
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMaxTickets) dropped.splice(dropped.begin(), entries_, entries_.begin());
  entries_.push_back({ticket, clock_.Now() + kLife, std::move(stream)});
  return ticket;
}

base::Result<std::unique_ptr<engine::ResultStream>> TicketStore::Take(const std::string& ticket) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(entries_, ticket, &Entry::ticket);
  if (found == entries_.end() || found->expires_at <= clock_.Now()) {
    return base::Fail(base::ErrorCode::kNotFound,
                      "There is no result under this ticket: a ticket works once, and for " +
                          std::to_string(kLife.count()) + " s. Run the query again.");
  }
  auto stream = std::move(found->stream);
  entries_.erase(found);
  return stream;
}

void TicketStore::Sweep() {
  std::list<Entry> dropped;
  const std::lock_guard lock(mutex_);
  while (!entries_.empty() && entries_.front().expires_at <= clock_.Now()) {
    dropped.splice(dropped.end(), entries_, entries_.begin());
  }
}

size_t TicketStore::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace pondpilot::worker::session
