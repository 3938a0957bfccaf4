#include "worker/flight/sql_server.h"

#include <arrow/type.h>

#include <utility>

#include "worker/flight/sql_info.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;
namespace sql = arrow::flight::sql;

// For commands whose ticket is the command itself: asked again at DoGet.
arrow::Result<SqlServer::Info> InfoOfCommand(const fl::FlightDescriptor& descriptor,
                                             const std::shared_ptr<arrow::Schema>& schema) {
  std::vector<fl::FlightEndpoint> endpoints{{fl::Ticket{descriptor.cmd}, {}, std::nullopt, ""}};
  ARROW_ASSIGN_OR_RAISE(auto info, fl::FlightInfo::Make(*schema, descriptor, endpoints, -1, -1, false));
  return std::make_unique<fl::FlightInfo>(std::move(info));
}

arrow::Result<SqlServer::Stream> OneBatch(arrow::Result<std::shared_ptr<arrow::RecordBatch>> batch) {
  ARROW_ASSIGN_OR_RAISE(auto rows, std::move(batch));
  ARROW_ASSIGN_OR_RAISE(auto reader, arrow::RecordBatchReader::Make({rows}, rows->schema()));
  return std::make_unique<fl::RecordBatchStream>(std::move(reader));
}

arrow::Status NoTransactions(const std::string& transaction_id) {
  if (transaction_id.empty()) return arrow::Status::OK();
  return arrow::Status::NotImplemented(
      "Transactions by handle are not supported: send BEGIN, COMMIT and ROLLBACK as statements of one "
      "connection.");
}

// Rows sent along with a prepared statement are values for its parameters; there can be none.
arrow::Status NoParameters(fl::FlightMessageReader& reader) {
  const auto schema = reader.GetSchema();
  if (!schema.ok() || (*schema)->num_fields() == 0) return arrow::Status::OK();  // some clients send none
  return arrow::Status::Invalid(
      "Statements with parameters are not supported yet. Write the values into the SQL text.");
}

}  // namespace

SqlServer::SqlServer(QueryDoor& queries, CatalogDoor& catalog) : queries_(queries), catalog_(catalog) {
  for (const auto& [id, value] : SqlInfo()) RegisterSqlInfo(id, value);
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoStatement(const Context& context,
                                                                 const sql::StatementQuery& command,
                                                                 const Descriptor& descriptor) {
  ARROW_RETURN_NOT_OK(NoTransactions(command.transaction_id));
  return queries_.GetInfo(context, command.query, descriptor, sql::CreateStatementQueryTicket);
}

arrow::Result<std::unique_ptr<fl::SchemaResult>> SqlServer::GetSchemaStatement(
    const Context& context, const sql::StatementQuery& command, const Descriptor&) {
  ARROW_RETURN_NOT_OK(NoTransactions(command.transaction_id));
  return queries_.GetSchema(context, command.query);
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetStatement(const Context& context,
                                                           const sql::StatementQueryTicket& command) {
  return queries_.Get(context, command.statement_handle);
}

arrow::Result<int64_t> SqlServer::DoPutCommandStatementUpdate(const Context& context,
                                                              const sql::StatementUpdate& command) {
  ARROW_RETURN_NOT_OK(NoTransactions(command.transaction_id));
  return queries_.Update(context, command.query);
}

arrow::Result<sql::ActionCreatePreparedStatementResult> SqlServer::CreatePreparedStatement(
    const Context& context, const sql::ActionCreatePreparedStatementRequest& request) {
  ARROW_RETURN_NOT_OK(NoTransactions(request.transaction_id));
  ARROW_ASSIGN_OR_RAISE(auto prepared, queries_.Prepare(context, request.query));
  return sql::ActionCreatePreparedStatementResult{std::move(prepared.schema), arrow::schema({}),
                                                  std::move(prepared.handle)};
}

arrow::Status SqlServer::ClosePreparedStatement(const Context&,
                                                const sql::ActionClosePreparedStatementRequest& request) {
  return queries_.ClosePrepared(request.prepared_statement_handle);
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoPreparedStatement(
    const Context& context, const sql::PreparedStatementQuery& command, const Descriptor& descriptor) {
  ARROW_ASSIGN_OR_RAISE(const std::string text, queries_.PreparedText(command.prepared_statement_handle));
  return queries_.GetInfo(context, text, descriptor, sql::CreateStatementQueryTicket);
}

arrow::Result<std::unique_ptr<fl::SchemaResult>> SqlServer::GetSchemaPreparedStatement(
    const Context& context, const sql::PreparedStatementQuery& command, const Descriptor&) {
  ARROW_ASSIGN_OR_RAISE(const std::string text, queries_.PreparedText(command.prepared_statement_handle));
  return queries_.GetSchema(context, text);
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetPreparedStatement(
    const Context& context, const sql::PreparedStatementQuery& command) {
  ARROW_ASSIGN_OR_RAISE(const std::string text, queries_.PreparedText(command.prepared_statement_handle));
  return queries_.Run(context, text);
}

arrow::Status SqlServer::DoPutPreparedStatementQuery(const Context&,
                                                     const sql::PreparedStatementQuery& command,
                                                     fl::FlightMessageReader* reader,
                                                     fl::FlightMetadataWriter*) {
  ARROW_RETURN_NOT_OK(queries_.PreparedText(command.prepared_statement_handle).status());
  return NoParameters(*reader);
}

arrow::Result<int64_t> SqlServer::DoPutPreparedStatementUpdate(const Context& context,
                                                               const sql::PreparedStatementUpdate& command,
                                                               fl::FlightMessageReader* reader) {
  ARROW_ASSIGN_OR_RAISE(const std::string text, queries_.PreparedText(command.prepared_statement_handle));
  ARROW_RETURN_NOT_OK(NoParameters(*reader));
  return queries_.Update(context, text);
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoSqlInfo(const Context&, const sql::GetSqlInfo&,
                                                               const Descriptor& descriptor) {
  return InfoOfCommand(descriptor, sql::SqlSchema::GetSqlInfoSchema());
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoCatalogs(const Context&,
                                                                const Descriptor& descriptor) {
  return InfoOfCommand(descriptor, sql::SqlSchema::GetCatalogsSchema());
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetCatalogs(const Context& context) {
  return OneBatch(catalog_.Catalogs(context));
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoSchemas(const Context&, const sql::GetDbSchemas&,
                                                               const Descriptor& descriptor) {
  return InfoOfCommand(descriptor, sql::SqlSchema::GetDbSchemasSchema());
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetDbSchemas(const Context& context,
                                                           const sql::GetDbSchemas& command) {
  return OneBatch(catalog_.DbSchemas(context, command));
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoTables(const Context&, const sql::GetTables& command,
                                                              const Descriptor& descriptor) {
  return InfoOfCommand(descriptor, command.include_schema
                                       ? sql::SqlSchema::GetTablesSchemaWithIncludedSchema()
                                       : sql::SqlSchema::GetTablesSchema());
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetTables(const Context& context,
                                                        const sql::GetTables& command) {
  return OneBatch(catalog_.Tables(context, command));
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoTableTypes(const Context&,
                                                                  const Descriptor& descriptor) {
  return InfoOfCommand(descriptor, sql::SqlSchema::GetTableTypesSchema());
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetTableTypes(const Context&) {
  return OneBatch(catalog_.TableTypes());
}

arrow::Result<fl::CloseSessionResult> SqlServer::CloseSession(const Context& context,
                                                              const fl::CloseSessionRequest&) {
  // Also when it had none: the client wants it gone.
  queries_.CloseSession(context);
  return fl::CloseSessionResult{fl::CloseSessionStatus::kClosed};
}

}  // namespace pondpilot::worker::flight
