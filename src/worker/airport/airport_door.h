#pragma once

#include <arrow/flight/server.h>

#include <functional>
#include <string>
#include <vector>

#include "worker/airport/catalog.h"
#include "worker/airport/exchange.h"
#include "worker/airport/scan_store.h"
#include "worker/flight/query_door.h"
#include "worker/flight/side_door.h"

namespace pondpilot::worker::airport {

// DuckDB's airport extension as a client: Flight with a vocabulary of its own, in msgpack. Over the same
// limits and locked engine as Flight SQL. Each call stands for itself, and nothing is kept between calls but
// results that were not read yet. SQL as it is runs in the session of the client's channel; all else is on
// connections of its own, since the client process has one channel for all that it does at the same time.
class AirportDoor final : public flight::SideDoor {
 public:
  // `runner` must outlive the door.
  explicit AirportDoor(session::StatementRunner& runner);

  bool OwnsAction(std::string_view type) const override;
  bool OwnsTicket(std::string_view ticket) const override { return ScanStore::IsTicket(ticket); }
  bool OwnsCall(const Context& context) const override;

  arrow::Status DoAction(const Context& context, const arrow::flight::Action& action,
                         std::unique_ptr<arrow::flight::ResultStream>* result) override;
  arrow::Status DoGet(const Context& context, const arrow::flight::Ticket& ticket,
                      std::unique_ptr<arrow::flight::FlightDataStream>* stream) override;
  arrow::Status GetFlightInfo(const Context& context, const Descriptor& descriptor,
                              std::unique_ptr<arrow::flight::FlightInfo>* info) override;
  arrow::Status DoExchange(const Context& context, std::unique_ptr<arrow::flight::FlightMessageReader> reader,
                           std::unique_ptr<arrow::flight::FlightMessageWriter> writer) override;
  void ListActions(std::vector<arrow::flight::ActionType>* actions) const override;

  // Tickets of a table's scan that is not done at once.
  static constexpr size_t kParallelReads = 4;

 private:
  // The bodies of an action's results.
  using Bodies = arrow::Result<std::vector<std::string>>;
  using Serve = Bodies (AirportDoor::*)(const Context& context, const Message& request);
  struct Action {
    const char* name;
    const char* description;
    Serve serve;
    bool by_identifier = false;  // also for callers without a token
  };
  static const std::vector<Action>& Actions();

  Bodies CreateTransaction(const Context& context, const Message& request);
  Bodies CatalogVersion(const Context& context, const Message& request);
  Bodies ListSchemas(const Context& context, const Message& request);
  Bodies FlightInfo(const Context& context, const Message& request);
  Bodies Endpoints(const Context& context, const Message& request);
  Bodies ColumnStatistics(const Context& context, const Message& request);
  Bodies CreateSchema(const Context& context, const Message& request);
  Bodies DropSchema(const Context& context, const Message& request);
  Bodies ChangeTable(const Context& context, const std::string& action, const Message& request);

  // Of a table as a client knows it: by the catalog that the call names, and its schema there.
  arrow::Result<arrow::flight::FlightInfo> InfoFor(const Context& context, const std::string& catalog,
                                                   const engine::CatalogEntry& entry);
  arrow::Result<arrow::flight::FlightInfo> Info(const Context& context, const Descriptor& descriptor);
  Bodies ReadTable(const Context& context, const engine::TableName& table, const Message& parameters);
  Bodies RunSql(const Context& context, const std::string& sql);
  // What is known of SQL as it is; Invalid for what can't run here.
  arrow::Result<engine::Description> DescribeSql(const Context& context, const std::string& sql);
  Bodies EndpointsOf(std::shared_ptr<session::OpenResult> result, ScanStore::Shape shape, size_t most);
  enum class Wait { kForFirstRows, kAtMostABit };
  arrow::Result<std::shared_ptr<session::OpenResult>> Run(session::Caller caller, const std::string& sql,
                                                          Wait wait);
  // Changes the catalog.
  arrow::Status Change(const Context& context, const std::string& sql);
  arrow::Result<Columns> ColumnsIn(const Context& context, const std::string& action, const Message& request);

  flight::QueryDoor queries_;
  Catalog catalog_;
  Exchange exchange_;
  ScanStore scans_;
};

}  // namespace pondpilot::worker::airport
