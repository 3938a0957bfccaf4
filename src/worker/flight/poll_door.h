#pragma once

#include <arrow/flight/server.h>
#include <arrow/flight/types.h>

#include <string>

#include "worker/flight/query_door.h"

namespace pondpilot::worker::flight {

// Statements that are watched from afar: polled for, cancelled, their results kept for longer.
class PollDoor {
 public:
  using Context = arrow::flight::ServerCallContext;

  // `queries` must outlive the door.
  explicit PollDoor(QueryDoor& queries) : queries_(queries) {}

  // Is this the descriptor of a statement that Start has started?
  static bool IsPoll(const std::string& command);

  // Starts the statement, and answers as Ask does.
  arrow::Status Start(const Context& context, const session::Statement& statement, bool flight_sql,
                      std::unique_ptr<arrow::flight::PollInfo>* info);
  // Waits a moment for the end of the statement; tells how far it is, or gives its FlightInfo.
  arrow::Status Ask(const Context& context, const std::string& command,
                    std::unique_ptr<arrow::flight::PollInfo>* info);

  // Stops the statements of an info that GetFlightInfo or PollFlightInfo has given.
  arrow::Result<arrow::flight::CancelFlightInfoResult> Cancel(
      const arrow::flight::CancelFlightInfoRequest& request);
  // Keeps the result of a ticket for another TicketStore::kLife.
  arrow::Result<arrow::flight::FlightEndpoint> Renew(
      const arrow::flight::RenewFlightEndpointRequest& request);

 private:
  QueryDoor& queries_;
};

}  // namespace pondpilot::worker::flight
