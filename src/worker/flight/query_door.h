#pragma once

#include <arrow/flight/server.h>

#include <functional>
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

  // Runs the statement and keeps its result under a ticket, or sends it along when the proxy asked for that
  // and it is small. `make_ticket` turns the handle into ticket bytes.
  arrow::Result<std::unique_ptr<arrow::flight::FlightInfo>> GetInfo(
      const arrow::flight::ServerCallContext& context, const std::string& sql,
      const arrow::flight::FlightDescriptor& descriptor,
      const std::function<arrow::Result<std::string>(const std::string&)>& make_ticket);

  // The schema of a query, which is planned and not run. Null for a text that isn't one query: what changes
  // something, several statements. A query that can't be planned is DuckDB's error.
  arrow::Result<std::shared_ptr<arrow::Schema>> Describe(const arrow::flight::ServerCallContext& context,
                                                         const std::string& sql);

  // The same for GetSchema: Invalid for a text that isn't one query.
  arrow::Result<std::unique_ptr<arrow::flight::SchemaResult>> GetSchema(
      const arrow::flight::ServerCallContext& context, const std::string& sql);

  // The rows of a ticket's result.
  arrow::Result<std::unique_ptr<arrow::flight::FlightDataStream>> Get(
      const arrow::flight::ServerCallContext& context, const std::string& handle);

  // Runs the statement and gives its rows.
  arrow::Result<std::unique_ptr<arrow::flight::FlightDataStream>> Run(
      const arrow::flight::ServerCallContext& context, const std::string& sql);

  // Runs the statement to its end and gives the number of rows it changed, or -1 when it says none.
  arrow::Result<int64_t> Update(const arrow::flight::ServerCallContext& context, const std::string& sql);

  // Runs the statement; the stream is the caller's.
  arrow::Result<std::shared_ptr<session::OpenResult>> Execute(const arrow::flight::ServerCallContext& context,
                                                              const std::string& sql);

  // Texts of prepared statements. Prepare refuses parameters, which are not supported yet; its schema is
  // Describe's.
  struct Prepared {
    std::string handle;
    std::shared_ptr<arrow::Schema> schema;
  };
  arrow::Result<Prepared> Prepare(const arrow::flight::ServerCallContext& context, const std::string& sql);
  arrow::Result<std::string> PreparedText(const std::string& handle);
  arrow::Status ClosePrepared(const std::string& handle);

  // Ends the caller's session. False when it had none.
  bool CloseSession(const arrow::flight::ServerCallContext& context);

 private:
  bool IsChange(const arrow::flight::ServerCallContext& context, const std::string& sql);
  arrow::Result<std::shared_ptr<arrow::Schema>> WithOwnNames(const arrow::flight::ServerCallContext& context,
                                                             const std::string& sql,
                                                             std::shared_ptr<arrow::Schema> schema);

  session::StatementRunner& runner_;
};

}  // namespace pondpilot::worker::flight
