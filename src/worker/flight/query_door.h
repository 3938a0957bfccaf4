#pragma once

#include <arrow/flight/server.h>

#include <memory>
#include <string>

#include "worker/session/statement_runner.h"

namespace pondpilot::worker::flight {

// What the Flight verbs do with SQL, whichever way it came in: as Flight SQL or as plain text.
class QueryDoor {
 public:
  // `runner` must outlive the door.
  explicit QueryDoor(session::StatementRunner& runner) : runner_(runner) {}

  // A longer text is refused; it bounds what parsing may cost.
  static constexpr size_t kMaxSqlBytes = 16 << 20;

  // Runs the statement and keeps its result under a ticket. `make_ticket` turns the handle into ticket bytes.
  arrow::Result<std::unique_ptr<arrow::flight::FlightInfo>> GetInfo(
      const arrow::flight::ServerCallContext& context, const std::string& sql,
      const arrow::flight::FlightDescriptor& descriptor,
      const std::function<arrow::Result<std::string>(const std::string&)>& make_ticket);

  // The statement's schema; its rows are not read.
  arrow::Result<std::unique_ptr<arrow::flight::SchemaResult>> GetSchema(
      const arrow::flight::ServerCallContext& context, const std::string& sql);

  // The rows of a ticket's result.
  arrow::Result<std::unique_ptr<arrow::flight::FlightDataStream>> Get(
      const arrow::flight::ServerCallContext& context, const std::string& handle);

  // Runs the statement to its end and gives the number of rows it changed, or -1 when it says none.
  arrow::Result<int64_t> Update(const arrow::flight::ServerCallContext& context, const std::string& sql);

  // Runs the statement; the stream is the caller's.
  arrow::Result<std::shared_ptr<session::OpenResult>> Execute(
      const arrow::flight::ServerCallContext& context, const std::string& sql);

 private:
  session::StatementRunner& runner_;
};

}  // namespace pondpilot::worker::flight
