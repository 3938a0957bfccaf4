#pragma once

#include <arrow/flight/sql/server.h>

#include <string>

#include "worker/flight/query_door.h"

namespace pondpilot::worker::flight {

// Prepared statements: texts under handles, and the values that clients bind to them.
class PreparedDoor {
 public:
  using Context = arrow::flight::ServerCallContext;

  // `queries` must outlive the door.
  explicit PreparedDoor(QueryDoor& queries) : queries_(queries) {}

  // What changes something has no rows to a client, which sends it as an update for that reason.
  arrow::Result<arrow::flight::sql::ActionCreatePreparedStatementResult> Create(
      const Context& context, const arrow::flight::sql::ActionCreatePreparedStatementRequest& request);
  arrow::Status Close(const Context& context, const std::string& handle);
  // With the values that were bound last.
  arrow::Result<session::Statement> Get(const Context& context, const std::string& handle);
  // Values for the executions to come.
  arrow::Status Bind(const Context& context, const std::string& handle,
                     arrow::flight::FlightMessageReader& reader);
  // Runs it once for each row of values that comes along, or with those that were bound, when none comes.
  arrow::Result<int64_t> Update(const Context& context, const std::string& handle,
                                arrow::flight::FlightMessageReader& reader);

 private:
  QueryDoor& queries_;
};

}  // namespace pondpilot::worker::flight
