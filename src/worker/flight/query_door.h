#pragma once

#include <arrow/flight/server.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "worker/session/statement_runner.h"

namespace pondpilot::worker::flight {

// A described schema as the rows have it: without Flight SQL's metadata about their types.
std::shared_ptr<arrow::Schema> AsStreamed(const arrow::Schema& described);

// What the Flight verbs do with SQL, whichever way it came in: as Flight SQL or as plain text.
class QueryDoor {
 public:
  // `runner` must outlive the door.
  explicit QueryDoor(session::StatementRunner& runner) : runner_(runner) {}

  // A longer text is refused; it bounds what parsing may cost.
  static constexpr size_t kMaxSqlBytes = 16 << 20;

  // How long GetFlightInfo waits for the first rows, once the columns are known. Many clients can't stop a
  // statement before they have its ticket. Most results are whole by then, and most errors have shown.
  static constexpr std::chrono::milliseconds kFirstRowsWait{200};

  using Context = arrow::flight::ServerCallContext;
  using MakeTicket = std::function<arrow::Result<std::string>(const std::string& handle)>;
  using Info = std::unique_ptr<arrow::flight::FlightInfo>;
  using Stream = std::unique_ptr<arrow::flight::FlightDataStream>;

  // Starts the statement and keeps its result under a ticket (what changes something has run to its end), or
  // sends it along when the proxy asked for that and it is small. `make_ticket` turns the handle into ticket
  // bytes.
  arrow::Result<Info> GetInfo(const Context& context, const session::Statement& statement,
                              const arrow::flight::FlightDescriptor& descriptor,
                              const MakeTicket& make_ticket);
  // The same for a statement that has run.
  arrow::Result<Info> InfoOf(const Context& context, std::shared_ptr<session::OpenResult> result,
                             const arrow::flight::FlightDescriptor& descriptor,
                             const MakeTicket& make_ticket);

  // What is known of a text before it runs. Runs nothing.
  arrow::Result<engine::Description> Describe(const Context& context, const session::Statement& statement);

  // The same for any caller and types.
  arrow::Result<engine::Description> DescribeFor(const session::Caller& caller, const std::string& sql);

  // The same for GetSchema: Invalid for a text that yields no rows of its own.
  arrow::Result<std::unique_ptr<arrow::flight::SchemaResult>> GetSchema(const Context& context,
                                                                        const session::Statement& statement);

  // The rows of a ticket's result.
  arrow::Result<Stream> Get(const Context& context, const std::string& handle);

  // Runs the statement and gives its rows.
  arrow::Result<Stream> Run(const Context& context, const session::Statement& statement);

  // Runs the statement to its end and gives the number of rows it changed: 0 for what changes none, as DDL,
  // -1 for a query.
  arrow::Result<int64_t> Update(const Context& context, const session::Statement& statement);
  // The same for any caller of the context's.
  arrow::Result<int64_t> UpdateFor(const Context& context, const session::Caller& caller,
                                   const session::Statement& statement);

  // Runs the statement; the stream is the caller's.
  arrow::Result<std::shared_ptr<session::OpenResult>> Execute(const session::Caller& caller,
                                                              const session::Statement& statement);

  // The same, in our own words.
  base::Result<std::shared_ptr<session::OpenResult>> RunFor(const session::Caller& caller,
                                                            const session::Statement& statement);

  session::StatementRunner& runner() { return runner_; }

 private:
  session::StatementRunner& runner_;
};

}  // namespace pondpilot::worker::flight
