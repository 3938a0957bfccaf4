#include "worker/flight/sql_server.h"

#include <arrow/type.h>

#include <utility>

#include "worker/flight/sql_info.h"
#include "worker/flight/type_info.h"

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

}  // namespace

SqlServer::SqlServer(QueryDoor& queries) : queries_(queries) {
  for (const auto& [id, value] : SqlInfo()) RegisterSqlInfo(id, value);
}

// ---- Statements

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoStatement(const Context& context,
                                                                 const sql::StatementQuery& command,
                                                                 const Descriptor& descriptor) {
  return queries_.GetInfo(context, {command.query, command.transaction_id, nullptr}, descriptor,
                          sql::CreateStatementQueryTicket);
}

arrow::Result<std::unique_ptr<fl::SchemaResult>> SqlServer::GetSchemaStatement(
    const Context& context, const sql::StatementQuery& command, const Descriptor&) {
  return queries_.GetSchema(context, {command.query, command.transaction_id, nullptr});
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetStatement(const Context& context,
                                                           const sql::StatementQueryTicket& command) {
  return queries_.Get(context, command.statement_handle);
}

arrow::Result<int64_t> SqlServer::DoPutCommandStatementUpdate(const Context& context,
                                                              const sql::StatementUpdate& command) {
  return queries_.Update(context, {command.query, command.transaction_id, nullptr});
}

arrow::Result<int64_t> SqlServer::DoPutCommandStatementIngest(const Context& context,
                                                              const sql::StatementIngest& command,
                                                              fl::FlightMessageReader* reader) {
  return transactions_.Ingest(context, command, *reader);
}

arrow::Result<sql::ActionBeginTransactionResult> SqlServer::BeginTransaction(
    const Context& context, const sql::ActionBeginTransactionRequest&) {
  return transactions_.Begin(context);
}

arrow::Status SqlServer::EndTransaction(const Context& context,
                                        const sql::ActionEndTransactionRequest& request) {
  return transactions_.End(context, request);
}

// ---- Prepared statements

arrow::Result<sql::ActionCreatePreparedStatementResult> SqlServer::CreatePreparedStatement(
    const Context& context, const sql::ActionCreatePreparedStatementRequest& request) {
  return prepared_.Create(context, request);
}

arrow::Status SqlServer::ClosePreparedStatement(const Context& context,
                                                const sql::ActionClosePreparedStatementRequest& request) {
  return prepared_.Close(context, request.prepared_statement_handle);
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoPreparedStatement(
    const Context& context, const sql::PreparedStatementQuery& command, const Descriptor& descriptor) {
  ARROW_ASSIGN_OR_RAISE(const auto statement, prepared_.Get(context, command.prepared_statement_handle));
  return queries_.GetInfo(context, statement, descriptor, sql::CreateStatementQueryTicket);
}

arrow::Result<std::unique_ptr<fl::SchemaResult>> SqlServer::GetSchemaPreparedStatement(
    const Context& context, const sql::PreparedStatementQuery& command, const Descriptor&) {
  ARROW_ASSIGN_OR_RAISE(const auto statement, prepared_.Get(context, command.prepared_statement_handle));
  return queries_.GetSchema(context, statement);
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetPreparedStatement(
    const Context& context, const sql::PreparedStatementQuery& command) {
  ARROW_ASSIGN_OR_RAISE(const auto statement, prepared_.Get(context, command.prepared_statement_handle));
  return queries_.Run(context, statement);
}

arrow::Status SqlServer::DoPutPreparedStatementQuery(const Context& context,
                                                     const sql::PreparedStatementQuery& command,
                                                     fl::FlightMessageReader* reader,
                                                     fl::FlightMetadataWriter*) {
  return prepared_.Bind(context, command.prepared_statement_handle, *reader);
}

arrow::Result<int64_t> SqlServer::DoPutPreparedStatementUpdate(const Context& context,
                                                               const sql::PreparedStatementUpdate& command,
                                                               fl::FlightMessageReader* reader) {
  return prepared_.Update(context, command.prepared_statement_handle, *reader);
}

// ---- What there is

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

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoXdbcTypeInfo(const Context&,
                                                                    const sql::GetXdbcTypeInfo&,
                                                                    const Descriptor& descriptor) {
  return InfoOfCommand(descriptor, sql::SqlSchema::GetXdbcTypeInfoSchema());
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetXdbcTypeInfo(const Context&,
                                                              const sql::GetXdbcTypeInfo& command) {
  return OneBatch(XdbcTypes(command.data_type));
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoPrimaryKeys(const Context&, const sql::GetPrimaryKeys&,
                                                                   const Descriptor& descriptor) {
  return InfoOfCommand(descriptor, sql::SqlSchema::GetPrimaryKeysSchema());
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetPrimaryKeys(const Context& context,
                                                             const sql::GetPrimaryKeys& command) {
  return OneBatch(catalog_.PrimaryKeys(context, command.table_ref));
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoExportedKeys(const Context&,
                                                                    const sql::GetExportedKeys&,
                                                                    const Descriptor& descriptor) {
  return InfoOfCommand(descriptor, sql::SqlSchema::GetExportedKeysSchema());
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetExportedKeys(const Context& context,
                                                              const sql::GetExportedKeys& command) {
  return OneBatch(catalog_.ExportedKeys(context, command.table_ref));
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoImportedKeys(const Context&,
                                                                    const sql::GetImportedKeys&,
                                                                    const Descriptor& descriptor) {
  return InfoOfCommand(descriptor, sql::SqlSchema::GetImportedKeysSchema());
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetImportedKeys(const Context& context,
                                                              const sql::GetImportedKeys& command) {
  return OneBatch(catalog_.ImportedKeys(context, command.table_ref));
}

arrow::Result<SqlServer::Info> SqlServer::GetFlightInfoCrossReference(const Context&,
                                                                      const sql::GetCrossReference&,
                                                                      const Descriptor& descriptor) {
  return InfoOfCommand(descriptor, sql::SqlSchema::GetCrossReferenceSchema());
}

arrow::Result<SqlServer::Stream> SqlServer::DoGetCrossReference(const Context& context,
                                                                const sql::GetCrossReference& command) {
  return OneBatch(catalog_.CrossReference(context, command.pk_table_ref, command.fk_table_ref));
}

// ---- Statements under way, sessions

arrow::Result<fl::CancelFlightInfoResult> SqlServer::CancelFlightInfo(
    const Context&, const fl::CancelFlightInfoRequest& request) {
  return polls_.Cancel(request);
}

arrow::Result<sql::CancelResult> SqlServer::CancelQuery(const Context&,
                                                        const sql::ActionCancelQueryRequest& request) {
  if (request.info == nullptr) return arrow::Status::Invalid("CancelQuery needs the info to cancel.");
  ARROW_ASSIGN_OR_RAISE(
      const auto result,
      polls_.Cancel(fl::CancelFlightInfoRequest(std::make_unique<fl::FlightInfo>(*request.info))));
  return result.status == fl::CancelStatus::kCancelled ? sql::CancelResult::kCancelled
                                                       : sql::CancelResult::kNotCancellable;
}

arrow::Result<fl::FlightEndpoint> SqlServer::RenewFlightEndpoint(
    const Context&, const fl::RenewFlightEndpointRequest& request) {
  return polls_.Renew(request);
}

arrow::Result<fl::SetSessionOptionsResult> SqlServer::SetSessionOptions(
    const Context& context, const fl::SetSessionOptionsRequest& request) {
  return sessions_.Set(context, request);
}

arrow::Result<fl::GetSessionOptionsResult> SqlServer::GetSessionOptions(const Context& context,
                                                                        const fl::GetSessionOptionsRequest&) {
  return sessions_.Get(context);
}

arrow::Result<fl::CloseSessionResult> SqlServer::CloseSession(const Context& context,
                                                              const fl::CloseSessionRequest&) {
  return sessions_.Close(context);
}

}  // namespace pondpilot::worker::flight
