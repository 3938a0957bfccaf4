#pragma once

#include <arrow/flight/server.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "worker/session/call_watch.h"
#include "worker/session/ticket_store.h"

namespace pondpilot::worker::airport {

class SharedResult;

// Results that clients read through several tickets at the same time. It is one statement, so what the
// tickets give is of one moment; each row comes through one of them. While nobody reads the result is the
// TicketStore's, and goes with it. A ticket works once; also after the others have taken all rows it does,
// for kLife. Thread-safe.
class ScanStore {
 public:
  // All must outlive the store and what it gives.
  ScanStore(session::TicketStore& tickets, session::CallWatch& watch, const base::Clock& clock)
      : tickets_(tickets), watch_(watch), clock_(clock) {}

  // What goes out instead of the result's own schema, from which it differs in metadata and in what may be
  // NULL; and how many rows there will be about, when that is known.
  struct Shape {
    std::shared_ptr<arrow::Schema> schema;
    std::optional<uint64_t> rows;
  };
  // The tickets of a result, `count` of them.
  std::vector<std::string> Put(std::shared_ptr<session::OpenResult> result, Shape shape, size_t count);

  static bool IsTicket(std::string_view ticket);

  // The rows that come through a ticket, each batch with the progress of all of them. KeyError for a ticket
  // that was used, has expired or never was. A reader that leaves before its end, as those of a client with
  // enough rows do, takes along what it has taken and no more: the others read on. Its client knows that it
  // has not had all. The last one that leaves stops the statement.
  arrow::Result<std::unique_ptr<arrow::flight::FlightDataStream>> Open(
      const arrow::flight::ServerCallContext& context, const std::string& ticket);

  static constexpr size_t kMaxScans = 256;
  static constexpr size_t kMaxTickets = 16;
  // From the last use of a ticket on.
  static constexpr std::chrono::minutes kLife{15};

 private:
  struct Scan {
    std::string handle;  // what its tickets call it
    std::string
        waiting;  // in the TicketStore, while nobody reads; empty when somebody does or nothing is left
    Shape shape;
    uint32_t unused = 0;                   // tickets, a bit each
    std::shared_ptr<SharedResult> result;  // once the first ticket was used
    base::Clock::Steady last_used;
  };
  void Sweep();
  void Leave(const std::string& handle, SharedResult& result, bool gone);

  session::TicketStore& tickets_;
  session::CallWatch& watch_;
  const base::Clock& clock_;
  std::mutex mutex_;
  std::list<Scan> scans_;  // oldest in front
};

}  // namespace pondpilot::worker::airport
