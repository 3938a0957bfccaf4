#pragma once

#include <arrow/flight/server.h>

#include "worker/airport/catalog.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::airport {

// Writing rows: INSERT, UPDATE and DELETE of airport clients, each a DoExchange. A call is a transaction of
// its own: the client tells nobody when its own ends.
class Exchange {
 public:
  using Context = arrow::flight::ServerCallContext;

  // Both must outlive it.
  Exchange(session::StatementRunner& runner, Catalog& catalog) : runner_(runner), catalog_(catalog) {}

  // Writes what the client sends until it ends its side; then says how many rows that were. With
  // `return-chunks` each batch is answered with one. Nothing is written when the call fails or breaks off.
  arrow::Status Serve(const Context& context, arrow::flight::FlightMessageReader& reader,
                      arrow::flight::FlightMessageWriter& writer);

 private:
  session::StatementRunner& runner_;
  Catalog& catalog_;
};

}  // namespace pondpilot::worker::airport
