#pragma once

#include <arrow/flight/server.h>
#include <arrow/flight/types.h>

#include "worker/flight/query_door.h"

namespace pondpilot::worker::flight {

// A session's options are DuckDB's settings, those that a SET statement may change, with "catalog" and
// "schema" for where unqualified names are looked up.
class SessionDoor {
 public:
  using Context = arrow::flight::ServerCallContext;

  // `queries` must outlive the door.
  explicit SessionDoor(QueryDoor& queries) : queries_(queries) {}

  // Each option that could not be set comes back with why; the others are set.
  arrow::Result<arrow::flight::SetSessionOptionsResult> Set(
      const Context& context, const arrow::flight::SetSessionOptionsRequest& request);
  arrow::Result<arrow::flight::GetSessionOptionsResult> Get(const Context& context);
  // Also when it had none: the client wants it gone.
  arrow::flight::CloseSessionResult Close(const Context& context);

 private:
  QueryDoor& queries_;
};

}  // namespace pondpilot::worker::flight
