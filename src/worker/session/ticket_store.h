#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::session {

// Results that GetFlightInfo has opened and DoGet has not yet fetched, under unguessable tickets. Bounded in
// number and in time; a ticket works once. Thread-safe.
class TicketStore {
 public:
  explicit TicketStore(const base::Clock& clock) : clock_(clock) {}

  // Keeps `stream` and gives its ticket. At kMaxTickets the oldest is dropped and its statement cancelled.
  std::string Put(std::unique_ptr<engine::ResultStream> stream);
  // kNotFound for a ticket that was read, has expired or never was.
  base::Result<std::unique_ptr<engine::ResultStream>> Take(const std::string& ticket);
  // Drops what has expired.
  void Sweep();
  size_t size() const;

  static constexpr size_t kMaxTickets = 64;
  static constexpr std::chrono::seconds kLife{60};

 private:
  struct Entry {
    std::string ticket;
    base::Clock::Steady expires_at;
    std::unique_ptr<engine::ResultStream> stream;
  };

  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // oldest in front
};

}  // namespace pondpilot::worker::session
