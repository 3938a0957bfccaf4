#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/error.h"
#include "worker/session/open_result.h"

namespace pondpilot::worker::session {

// Results that GetFlightInfo has opened and DoGet has not yet fetched, under unguessable tickets, also while
// their first rows are still being computed. Bounded in
// number, bytes and time; a ticket works once. Thread-safe.
class TicketStore {
 public:
  // `clock` must outlive the store.
  explicit TicketStore(const base::Clock& clock, uint64_t max_waiting_bytes = kMaxWaitingBytes)
      : clock_(clock), max_waiting_bytes_(max_waiting_bytes) {}

  // A ticket as Put would give it, with nothing behind it.
  static std::string NewTicket();

  // Keeps `result` and gives its ticket. Past a bound the oldest are dropped and their statements cancelled.
  std::string Put(std::shared_ptr<OpenResult> result);
  // kNotFound for a ticket that was read, has expired or never was.
  base::Result<std::shared_ptr<OpenResult>> Take(const std::string& ticket);
  // Stops the statement of a ticket, whether it is being read or not. kNotFound as for Take, and when it has
  // been read to its end.
  base::Result<void> Cancel(const std::string& ticket);
  // Life anew for a ticket that was not read yet. kNotFound as for Take.
  base::Result<void> Renew(const std::string& ticket);
  // Stops the statements whose results hold this connection: those that nobody reads yet, and with `reading`
  // also those that are being read.
  void Release(const engine::Connection* connection, bool reading);
  // Drops what has expired, and the oldest past a bound.
  void Sweep();
  // Drops everything that is not being read.
  void Clear();
  size_t size() const;

  static constexpr size_t kMaxTickets = 64;
  // Of rows that were fetched ahead, all results together; one result alone may have more.
  static constexpr uint64_t kMaxWaitingBytes = 64 << 20;
  static constexpr std::chrono::seconds kLife{60};

 private:
  struct Entry {
    std::string ticket;
    base::Clock::Steady expires_at;
    std::shared_ptr<OpenResult> result;
  };

  std::list<Entry> OverBounds();

  const base::Clock& clock_;
  const uint64_t max_waiting_bytes_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // oldest in front
  // For Cancel: as many as calls that stream, and a few that have ended since the last look.
  std::unordered_map<std::string, std::weak_ptr<OpenResult>> reading_;
};

}  // namespace pondpilot::worker::session
