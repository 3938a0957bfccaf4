#pragma once

#include <arrow/flight/sql/server.h>

#include "worker/flight/query_door.h"

namespace pondpilot::worker::flight {

// Transactions with handles, and loads, which may belong to one.
class TransactionDoor {
 public:
  using Context = arrow::flight::ServerCallContext;

  // `queries` must outlive the door.
  explicit TransactionDoor(QueryDoor& queries) : queries_(queries) {}

  arrow::Result<arrow::flight::sql::ActionBeginTransactionResult> Begin(const Context& context);
  arrow::Status End(const Context& context, const arrow::flight::sql::ActionEndTransactionRequest& request);
  // The number of rows written. Without a handle it runs inside the session's only open transaction: ADBC
  // sends none even then.
  arrow::Result<int64_t> Ingest(const Context& context, const arrow::flight::sql::StatementIngest& command,
                                arrow::flight::FlightMessageReader& reader);

 private:
  QueryDoor& queries_;
};

}  // namespace pondpilot::worker::flight
