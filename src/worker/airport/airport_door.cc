#include "worker/airport/airport_door.h"

#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <algorithm>
#include <utility>

#include "contract/names.h"
#include "worker/airport/headers.h"
#include "worker/airport/scan.h"
#include "worker/airport/statistics.h"
#include "worker/flight/caller.h"
#include "worker/flight/sql_text.h"
#include "worker/flight/status.h"

namespace pondpilot::worker::airport {
namespace {

namespace fl = arrow::flight;
using flight::ToArrowStatus;

// Of an Arrow schema or a message that a client sends; the proxy lets no more through at all.
template <typename T>
arrow::Result<T> Unwrapped(base::Result<T> result) {
  if (!result) return ToArrowStatus(result.error());
  return std::move(*result);
}

bool ByIdentifier(const fl::ServerCallContext& context) {
  return !HeaderOf(context, contract::kByIdentifierHeader).empty();
}

arrow::Status NeedsToken(const std::string& what) {
  return ToArrowStatus({base::ErrorCode::kUnauthenticated,
                        what + " needs a token; the identifier of a transaction is not enough. In DuckDB: "
                               "CREATE SECRET (TYPE airport, auth_token '…', SCOPE 'grpc://…').",
                        "",
                        {}});
}

// What a statement says that yields no rows of its own.
std::shared_ptr<arrow::Schema> CountSchema() {
  return arrow::schema({arrow::field("Count", arrow::int64())});
}

}  // namespace

AirportDoor::AirportDoor(session::StatementRunner& runner)
    : queries_(runner),
      catalog_(runner),
      exchange_(runner, catalog_),
      scans_(runner.tickets(), runner.watch(), base::Clock::System()) {}

const std::vector<AirportDoor::Action>& AirportDoor::Actions() {
  static const std::vector<Action> kActions = {
      {"create_transaction", "Gives the identifier of a transaction.", &AirportDoor::CreateTransaction},
      {"catalog_version", "Gives the version of a catalog.", &AirportDoor::CatalogVersion},
      {"list_schemas", "Gives the schemas and tables of a catalog.", &AirportDoor::ListSchemas},
      {"flight_info", "Gives the columns of a table or statement.", &AirportDoor::FlightInfo, true},
      {"endpoints", "Starts to read a table or runs a statement.", &AirportDoor::Endpoints, true},
      {"column_statistics", "Gives what is certain of a column's values.", &AirportDoor::ColumnStatistics,
       true},
      {"create_schema", "Makes a schema.", &AirportDoor::CreateSchema},
      {"drop_schema", "Removes a schema.", &AirportDoor::DropSchema},
  };
  return kActions;
}

bool AirportDoor::OwnsAction(std::string_view type) const {
  return IsTableAction(type) ||
         std::ranges::any_of(Actions(), [&](const Action& action) { return action.name == type; });
}

bool AirportDoor::OwnsCall(const Context& context) const {
  return !HeaderOf(context, kAgentHeader).empty() || !HeaderOf(context, kOperationHeader).empty();
}

void AirportDoor::ListActions(std::vector<fl::ActionType>* actions) const {
  for (const Action& action : Actions()) actions->push_back({action.name, action.description});
  for (const std::string_view name : TableActions())
    actions->push_back({std::string(name), "Changes what tables there are, or their columns."});
}

arrow::Status AirportDoor::DoAction(const Context& context, const fl::Action& action,
                                    std::unique_ptr<fl::ResultStream>* result) {
  const auto found = std::ranges::find(Actions(), action.type, &Action::name);
  const bool known = found != Actions().end();
  if (ByIdentifier(context) && !(known && found->by_identifier)) return NeedsToken(action.type);
  const std::string_view body =
      action.body == nullptr ? std::string_view() : static_cast<std::string_view>(*action.body);
  ARROW_ASSIGN_OR_RAISE(const Message request, Unwrapped(Unpack(body)));
  if (!request.is_object()) return arrow::Status::Invalid("The action's body is no map.");
  ARROW_ASSIGN_OR_RAISE(const auto bodies, known ? (this->*found->serve)(context, request)
                                                 : ChangeTable(context, action.type, request));
  std::vector<fl::Result> results;
  for (const std::string& one : bodies) results.push_back({arrow::Buffer::FromString(one)});
  *result = std::make_unique<fl::SimpleResultStream>(std::move(results));
  return arrow::Status::OK();
}

arrow::Status AirportDoor::DoGet(const Context& context, const fl::Ticket& ticket,
                                 std::unique_ptr<fl::FlightDataStream>* stream) {
  return scans_.Open(context, ticket.ticket).Value(stream);
}

arrow::Status AirportDoor::DoExchange(const Context& context, std::unique_ptr<fl::FlightMessageReader> reader,
                                      std::unique_ptr<fl::FlightMessageWriter> writer) {
  return exchange_.Serve(context, *reader, *writer);
}

// ---- Questions

AirportDoor::Bodies AirportDoor::CreateTransaction(const Context& context, const Message&) {
  // Made by the proxy, which knows whose call it is; nil where there is none.
  const std::string identifier = HeaderOf(context, contract::kCallIdentifierHeader);
  const Message told = identifier.empty() ? Message(nullptr) : Message(identifier);
  return std::vector<std::string>{Pack(Message{{"identifier", told}})};
}

AirportDoor::Bodies AirportDoor::CatalogVersion(const Context& context, const Message& request) {
  ARROW_ASSIGN_OR_RAISE(const std::string catalog, Unwrapped(TextOr(request, {"catalog_name"})));
  ARROW_ASSIGN_OR_RAISE(const Message version, catalog_.Version(context, catalog));
  return std::vector<std::string>{Pack(version)};
}

AirportDoor::Bodies AirportDoor::ListSchemas(const Context& context, const Message& request) {
  ARROW_ASSIGN_OR_RAISE(const std::string catalog, Unwrapped(TextOr(request, {"catalog_name"})));
  ARROW_ASSIGN_OR_RAISE(std::string list, catalog_.List(context, catalog));
  return std::vector<std::string>{std::move(list)};
}

AirportDoor::Bodies AirportDoor::FlightInfo(const Context& context, const Message& request) {
  ARROW_ASSIGN_OR_RAISE(const std::string bytes, Unwrapped(TextAt(request, {"descriptor"})));
  ARROW_ASSIGN_OR_RAISE(const std::string at, Unwrapped(TextOr(request, {"at_value"})));
  if (!at.empty())
    return arrow::Status::NotImplemented("Tables are kept as they are now; AT has no other state to read.");
  ARROW_ASSIGN_OR_RAISE(const auto descriptor, fl::FlightDescriptor::Deserialize(bytes));
  ARROW_ASSIGN_OR_RAISE(const auto info, Info(context, descriptor));
  ARROW_ASSIGN_OR_RAISE(std::string serialized, info.SerializeToString());
  return std::vector<std::string>{std::move(serialized)};
}

arrow::Status AirportDoor::GetFlightInfo(const Context& context, const Descriptor& descriptor,
                                         std::unique_ptr<fl::FlightInfo>* info) {
  ARROW_ASSIGN_OR_RAISE(auto told, Info(context, descriptor));
  *info = std::make_unique<fl::FlightInfo>(std::move(told));
  return arrow::Status::OK();
}

arrow::Result<fl::FlightInfo> AirportDoor::InfoFor(const Context& context, const std::string& catalog,
                                                   const engine::CatalogEntry& entry) {
  ARROW_ASSIGN_OR_RAISE(const auto schemas, catalog_.SchemasOf(context, catalog));
  const auto name = std::ranges::find_if(schemas, [&](const SchemaName& one) {
    return one.catalog == entry.catalog && one.schema == entry.schema;
  });
  if (name == schemas.end()) return arrow::Status::KeyError("The schema \"", entry.schema, "\" is gone.");
  return InfoOf(entry, catalog, name->advertised);
}

arrow::Result<fl::FlightInfo> AirportDoor::Info(const Context& context, const Descriptor& descriptor) {
  if (descriptor.type == fl::FlightDescriptor::PATH) {
    ARROW_ASSIGN_OR_RAISE(const auto table, TableOf(descriptor));
    ARROW_ASSIGN_OR_RAISE(const auto entry, catalog_.Find(context, table));
    // The extension says on which catalog's behalf it asks, unless that is ''.
    return InfoFor(context, HeaderOf(context, kCatalogHeader), entry);
  }
  if (ByIdentifier(context)) return NeedsToken("SQL");
  // What it changes is changed when it is read: by `endpoints`, which follows.
  ARROW_ASSIGN_OR_RAISE(const auto description, DescribeSql(context, descriptor.cmd));
  const auto rows = description.rows ? flight::AsStreamed(*description.rows) : CountSchema();
  return fl::FlightInfo::Make(*rows, descriptor, {}, -1, -1, true);
}

AirportDoor::Bodies AirportDoor::ColumnStatistics(const Context& context, const Message& request) {
  ARROW_ASSIGN_OR_RAISE(const std::string bytes,
                        Unwrapped(TextAt(request, {"flight_descriptor", "descriptor"})));
  ARROW_ASSIGN_OR_RAISE(const std::string column, Unwrapped(TextAt(request, {"column_name"})));
  ARROW_ASSIGN_OR_RAISE(const auto descriptor, fl::FlightDescriptor::Deserialize(bytes));
  ARROW_ASSIGN_OR_RAISE(const auto table, TableOf(descriptor));
  ARROW_ASSIGN_OR_RAISE(const auto entry, catalog_.Find(context, table));
  const auto field = entry.columns->GetFieldByName(column);
  if (field == nullptr) {
    return arrow::Status::KeyError("The table \"", entry.name, "\" has no column \"", column.substr(0, 200),
                                   "\".");
  }
  ARROW_ASSIGN_OR_RAISE(const auto row, StatisticsRow(field->type()));
  ARROW_ASSIGN_OR_RAISE(const auto out, arrow::io::BufferOutputStream::Create());
  ARROW_ASSIGN_OR_RAISE(const auto writer, arrow::ipc::MakeStreamWriter(out, row->schema()));
  ARROW_RETURN_NOT_OK(writer->WriteRecordBatch(*row));
  ARROW_RETURN_NOT_OK(writer->Close());
  ARROW_ASSIGN_OR_RAISE(const auto buffer, out->Finish());
  return std::vector<std::string>{buffer->ToString()};
}

// ---- Reading

arrow::Result<std::shared_ptr<session::OpenResult>> AirportDoor::Run(session::Caller caller,
                                                                     const std::string& sql, Wait wait) {
  caller.types = engine::Types::kDuckDb;
  if (wait == Wait::kAtMostABit) caller.first_rows_wait = flight::QueryDoor::kFirstRowsWait;
  return queries_.Execute(caller, {sql, "", nullptr});
}

AirportDoor::Bodies AirportDoor::EndpointsOf(std::shared_ptr<session::OpenResult> result,
                                             ScanStore::Shape shape, size_t most) {
  const auto* whole = result->Whole();
  const auto has_rows = [](const std::shared_ptr<arrow::RecordBatch>& batch) {
    return batch->num_rows() > 0;
  };
  Message list = Message::array();
  if (whole != nullptr && std::ranges::none_of(*whole, has_rows)) return std::vector<std::string>{Pack(list)};
  const size_t count = whole != nullptr ? 1 : most;
  for (std::string& ticket : scans_.Put(std::move(result), std::move(shape), count)) {
    const fl::FlightEndpoint endpoint{
        fl::Ticket{std::move(ticket)}, {fl::Location::ReuseConnection()}, std::nullopt, ""};
    ARROW_ASSIGN_OR_RAISE(const std::string bytes, endpoint.SerializeToString());
    list.push_back(Binary(bytes));
  }
  return std::vector<std::string>{Pack(list)};
}

AirportDoor::Bodies AirportDoor::Endpoints(const Context& context, const Message& request) {
  ARROW_ASSIGN_OR_RAISE(const std::string bytes, Unwrapped(TextAt(request, {"descriptor"})));
  ARROW_ASSIGN_OR_RAISE(const auto descriptor, fl::FlightDescriptor::Deserialize(bytes));
  const auto found = request.find("parameters");
  const Message parameters = found == request.end() ? Message::object() : *found;
  if (!parameters.is_object() && !parameters.is_null())
    return arrow::Status::Invalid("\"parameters\" is no map.");
  ARROW_ASSIGN_OR_RAISE(const std::string at, Unwrapped(TextOr(parameters, {"at_value"})));
  if (!at.empty())
    return arrow::Status::NotImplemented("Tables are kept as they are now; AT has no other state to read.");
  if (descriptor.type == fl::FlightDescriptor::CMD) {
    if (ByIdentifier(context)) return NeedsToken("SQL");
    return RunSql(context, descriptor.cmd);
  }
  ARROW_ASSIGN_OR_RAISE(const auto table, TableOf(descriptor));
  return ReadTable(context, table, parameters);
}

AirportDoor::Bodies AirportDoor::ReadTable(const Context& context, const engine::TableName& table,
                                           const Message& parameters) {
  ARROW_ASSIGN_OR_RAISE(const auto columns, Unwrapped(NumbersAt(parameters, "column_ids")));
  ARROW_ASSIGN_OR_RAISE(const std::string filters, Unwrapped(TextOr(parameters, {"json_filters"})));
  ARROW_ASSIGN_OR_RAISE(const auto entry, catalog_.FindToRead(context, table));
  ARROW_ASSIGN_OR_RAISE(const TableScan scan, ScanOf(entry, columns, filters));
  ARROW_ASSIGN_OR_RAISE(auto result, Run(flight::AloneCallerOf(context), scan.sql, Wait::kAtMostABit));
  // Types and names; what may be NULL is said by the scan.
  const auto same = [](const std::shared_ptr<arrow::Field>& a, const std::shared_ptr<arrow::Field>& b) {
    return a->name() == b->name() && a->type()->Equals(*b->type());
  };
  if (!std::ranges::equal(result->schema()->fields(), scan.schema->fields(), same)) {
    return ToArrowStatus(
        {base::ErrorCode::kAborted,
         "The table " + table.table + " has been changed meanwhile. Run the statement again.",
         result->schema()->ToString() + " instead of " + scan.schema->ToString(),
         {}});
  }
  return EndpointsOf(std::move(result), {scan.schema, scan.rows}, kParallelReads);
}

arrow::Result<engine::Description> AirportDoor::DescribeSql(const Context& context, const std::string& sql) {
  session::Caller caller = flight::CallerOf(context);
  caller.types = engine::Types::kDuckDb;
  ARROW_ASSIGN_OR_RAISE(auto description, queries_.DescribeFor(caller, sql));
  // Other connections of the client process would find themselves in it.
  if (description.has_transaction_statement) {
    return arrow::Status::Invalid(
        "airport has no transactions: BEGIN, COMMIT and ROLLBACK can't be sent with it. Each statement is "
        "one of "
        "its own; use Flight SQL for several in one.");
  }
  return description;
}

AirportDoor::Bodies AirportDoor::RunSql(const Context& context, const std::string& sql) {
  ARROW_ASSIGN_OR_RAISE(const auto description, DescribeSql(context, sql));
  if (description.parameters->num_fields() > 0)
    return arrow::Status::Invalid("The statement has parameters, and airport has no values for them.");
  if (description.rows != nullptr) {
    ARROW_ASSIGN_OR_RAISE(auto result, Run(flight::CallerOf(context), sql, Wait::kAtMostABit));
    const auto schema = result->schema();
    // One reader: rows come in the order that the statement gives them.
    return EndpointsOf(std::move(result), {schema, std::nullopt}, 1);
  }
  ARROW_ASSIGN_OR_RAISE(const int64_t changed, queries_.Update(context, {sql, "", nullptr}));
  const std::string count = std::to_string(std::max<int64_t>(changed, 0));
  ARROW_ASSIGN_OR_RAISE(
      auto result, Run(flight::AloneCallerOf(context), "SELECT CAST(" + count + " AS BIGINT) AS \"Count\"",
                       Wait::kForFirstRows));
  return EndpointsOf(std::move(result), {CountSchema(), std::nullopt}, 1);
}

// ---- Changing what there is

arrow::Status AirportDoor::Change(const Context& context, const std::string& sql) {
  return queries_.UpdateFor(context, flight::AloneCallerOf(context), {sql, "", nullptr}).status();
}

AirportDoor::Bodies AirportDoor::CreateSchema(const Context& context, const Message& request) {
  ARROW_ASSIGN_OR_RAISE(const ClientName name, Unwrapped(ClientNameIn(request)));
  const std::string& schema = name.schema.empty() ? name.name : name.schema;
  if (schema.empty()) return arrow::Status::Invalid("The request names no schema.");
  ARROW_ASSIGN_OR_RAISE(const auto place, catalog_.PlaceForSchema(context, name.catalog, schema));
  // DuckDB keeps no comments on schemas.
  const std::string quoted = flight::Quoted(place.catalog) + "." + flight::Quoted(place.schema);
  ARROW_RETURN_NOT_OK(Change(context, "CREATE SCHEMA " + quoted));
  ARROW_ASSIGN_OR_RAISE(const Message contents, ContentsOf({}));
  return std::vector<std::string>{Pack(contents)};
}

AirportDoor::Bodies AirportDoor::DropSchema(const Context& context, const Message& request) {
  ARROW_ASSIGN_OR_RAISE(const ClientName name, Unwrapped(ClientNameIn(request)));
  ARROW_ASSIGN_OR_RAISE(const bool ignore, Unwrapped(FlagAt(request, "ignore_not_found")));
  ARROW_ASSIGN_OR_RAISE(const bool cascade, Unwrapped(FlagAt(request, "cascade")));
  const auto place = catalog_.FindSchema(context, name.catalog, name.name.empty() ? name.schema : name.name);
  if (!place.ok() && place.status().IsKeyError() && ignore) return std::vector<std::string>{};
  ARROW_RETURN_NOT_OK(place.status());
  const std::string sql = "DROP SCHEMA " + flight::Quoted(place->catalog) + "." +
                          flight::Quoted(place->schema) + (cascade ? " CASCADE" : "");
  ARROW_RETURN_NOT_OK(Change(context, sql));
  return std::vector<std::string>{};
}

arrow::Result<Columns> AirportDoor::ColumnsIn(const Context& context, const std::string& action,
                                              const Message& request) {
  Columns columns;
  const char* where = SchemaFieldOf(action);
  if (where == nullptr) return columns;
  ARROW_ASSIGN_OR_RAISE(const std::string bytes, Unwrapped(TextAt(request, {where})));
  arrow::io::BufferReader reader(arrow::Buffer::FromString(bytes));
  arrow::ipc::DictionaryMemo memo;
  const auto schema = arrow::ipc::ReadSchema(&reader, &memo);
  if (!schema.ok())
    return arrow::Status::Invalid("\"", where, "\" is no Arrow schema: ", schema.status().message());
  ARROW_ASSIGN_OR_RAISE(columns.types,
                        Unwrapped(queries_.runner().TypeNames(flight::AloneCallerOf(context), *schema)));
  columns.names = (*schema)->field_names();
  return columns;
}

AirportDoor::Bodies AirportDoor::ChangeTable(const Context& context, const std::string& action,
                                             const Message& request) {
  ARROW_ASSIGN_OR_RAISE(const ClientName name, Unwrapped(ClientNameIn(request)));
  if (name.name.empty()) return arrow::Status::Invalid("The request names no table.");
  ARROW_ASSIGN_OR_RAISE(const SchemaName schema, catalog_.FindSchema(context, name.catalog, name.schema));
  const engine::TableName table{schema.catalog, schema.schema, name.name};
  ARROW_ASSIGN_OR_RAISE(const Columns columns, ColumnsIn(context, action, request));
  ARROW_ASSIGN_OR_RAISE(const Alteration alteration,
                        Unwrapped(AlterationOf(action, request, table, columns)));
  ARROW_RETURN_NOT_OK(Change(context, alteration.sql));
  if (alteration.name.empty()) return std::vector<std::string>{};
  const auto entry = catalog_.Find(context, {table.catalog, table.schema, alteration.name});
  ARROW_ASSIGN_OR_RAISE(const bool ignore, Unwrapped(FlagAt(request, "ignore_not_found")));
  if (!entry.ok() && entry.status().IsKeyError() && ignore) return std::vector<std::string>{};
  ARROW_RETURN_NOT_OK(entry.status());
  ARROW_ASSIGN_OR_RAISE(const auto info, InfoOf(*entry, name.catalog, schema.advertised));
  ARROW_ASSIGN_OR_RAISE(std::string bytes, info.SerializeToString());
  return std::vector<std::string>{std::move(bytes)};
}

}  // namespace pondpilot::worker::airport
