#include "worker/session/ticket_store.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/secret.h"

namespace pondpilot::worker::session {
namespace {

std::unexpected<base::Error> NoSuchTicket() {
  return base::Fail(
      base::ErrorCode::kNotFound,
      "There is no result under this ticket: it was read already, has expired, or is none of this "
      "server's. A ticket works once, and for " +
          std::to_string(TicketStore::kLife.count()) + " s. Run the query again.");
}

}  // namespace

std::string TicketStore::NewTicket() { return base::RandomHex(16); }

std::string TicketStore::Put(std::shared_ptr<OpenResult> result) {
  std::list<Entry> dropped;  // destroyed outside the lock: that cancels their statements
  std::string ticket = NewTicket();
  const std::lock_guard lock(mutex_);
  entries_.push_back({ticket, clock_.Now() + kLife, std::move(result)});
  dropped = OverBounds();
  return ticket;
}

// The oldest, until the rest keep the bounds. The bytes of a result grow while its first rows are computed.
std::list<TicketStore::Entry> TicketStore::OverBounds() {
  uint64_t bytes = 0;
  for (const Entry& entry : entries_) bytes += entry.result->waiting_bytes();
  std::list<Entry> over;
  while (entries_.size() > kMaxTickets || (bytes > max_waiting_bytes_ && entries_.size() > 1)) {
    bytes -= std::min(bytes, entries_.front().result->waiting_bytes());
    over.splice(over.end(), entries_, entries_.begin());
  }
  return over;
}

base::Result<std::shared_ptr<OpenResult>> TicketStore::Take(const std::string& ticket) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(entries_, ticket, &Entry::ticket);
  if (found == entries_.end() || found->expires_at <= clock_.Now()) return NoSuchTicket();
  auto result = std::move(found->result);
  entries_.erase(found);
  std::erase_if(reading_, [](const auto& entry) { return entry.second.expired(); });
  reading_.emplace(ticket, result);
  return result;
}

base::Result<void> TicketStore::Cancel(const std::string& ticket) {
  std::shared_ptr<OpenResult> result;  // destroyed outside the lock
  const std::lock_guard lock(mutex_);
  if (const auto found = std::ranges::find(entries_, ticket, &Entry::ticket); found != entries_.end()) {
    result = std::move(found->result);
    entries_.erase(found);
    return {};
  }
  if (const auto found = reading_.find(ticket); found != reading_.end()) result = found->second.lock();
  if (result == nullptr) return NoSuchTicket();
  result->Cancel();
  return {};
}

base::Result<void> TicketStore::Renew(const std::string& ticket) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(entries_, ticket, &Entry::ticket);
  if (found == entries_.end() || found->expires_at <= clock_.Now()) return NoSuchTicket();
  found->expires_at = clock_.Now() + kLife;
  entries_.splice(entries_.end(), entries_, found);  // the order is that of expiry
  return {};
}

void TicketStore::Release(const engine::Connection* connection, bool reading) {
  std::list<Entry> dropped;
  std::vector<std::shared_ptr<OpenResult>> read;
  const std::lock_guard lock(mutex_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto at = it++;
    if (!at->result->Holds(connection)) continue;
    dropped.splice(dropped.end(), entries_, at);
  }
  if (!reading) return;
  for (const auto& [ticket, weak] : reading_) {
    auto result = weak.lock();
    if (result == nullptr) continue;
    if (result->Holds(connection)) result->Cancel();
    read.push_back(std::move(result));  // the last owner must not end it under the lock
  }
}

void TicketStore::Sweep() {
  std::list<Entry> dropped;
  const std::lock_guard lock(mutex_);
  dropped = OverBounds();
  while (!entries_.empty() && entries_.front().expires_at <= clock_.Now()) {
    dropped.splice(dropped.end(), entries_, entries_.begin());
  }
  std::erase_if(reading_, [](const auto& entry) { return entry.second.expired(); });
}

void TicketStore::Clear() {
  std::list<Entry> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(entries_);
}

size_t TicketStore::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace pondpilot::worker::session
