#pragma once

#include <arrow/flight/sql/server.h>

#include "worker/flight/catalog_door.h"
#include "worker/flight/poll_door.h"
#include "worker/flight/prepared_door.h"
#include "worker/flight/query_door.h"
#include "worker/flight/session_door.h"
#include "worker/flight/transaction_door.h"

namespace pondpilot::worker::flight {

// Flight SQL's verbs, each to the door that knows. What is not overridden here is answered UNIMPLEMENTED by
// the base class: Substrait and savepoints, which DuckDB has not. Never started as a server of its own:
// FlightService hands it the calls that are Flight SQL.
class SqlServer final : public arrow::flight::sql::FlightSqlServerBase {
 public:
  // `queries` must outlive it.
  explicit SqlServer(QueryDoor& queries);

  // What FlightService asks apart from Flight SQL's own verbs.
  PollDoor& polls() { return polls_; }
  PreparedDoor& prepared() { return prepared_; }

  using Context = arrow::flight::ServerCallContext;
  using Descriptor = arrow::flight::FlightDescriptor;
  using Info = std::unique_ptr<arrow::flight::FlightInfo>;
  using Stream = std::unique_ptr<arrow::flight::FlightDataStream>;

  arrow::Result<Info> GetFlightInfoStatement(const Context& context,
                                             const arrow::flight::sql::StatementQuery& command,
                                             const Descriptor& descriptor) override;
  arrow::Result<std::unique_ptr<arrow::flight::SchemaResult>> GetSchemaStatement(
      const Context& context, const arrow::flight::sql::StatementQuery& command,
      const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetStatement(const Context& context,
                                       const arrow::flight::sql::StatementQueryTicket& command) override;
  arrow::Result<int64_t> DoPutCommandStatementUpdate(
      const Context& context, const arrow::flight::sql::StatementUpdate& command) override;

  arrow::Result<arrow::flight::sql::ActionCreatePreparedStatementResult> CreatePreparedStatement(
      const Context& context,
      const arrow::flight::sql::ActionCreatePreparedStatementRequest& request) override;
  arrow::Status ClosePreparedStatement(
      const Context& context,
      const arrow::flight::sql::ActionClosePreparedStatementRequest& request) override;
  arrow::Result<Info> GetFlightInfoPreparedStatement(
      const Context& context, const arrow::flight::sql::PreparedStatementQuery& command,
      const Descriptor& descriptor) override;
  arrow::Result<std::unique_ptr<arrow::flight::SchemaResult>> GetSchemaPreparedStatement(
      const Context& context, const arrow::flight::sql::PreparedStatementQuery& command,
      const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetPreparedStatement(
      const Context& context, const arrow::flight::sql::PreparedStatementQuery& command) override;
  arrow::Status DoPutPreparedStatementQuery(const Context& context,
                                            const arrow::flight::sql::PreparedStatementQuery& command,
                                            arrow::flight::FlightMessageReader* reader,
                                            arrow::flight::FlightMetadataWriter* writer) override;
  arrow::Result<int64_t> DoPutPreparedStatementUpdate(
      const Context& context, const arrow::flight::sql::PreparedStatementUpdate& command,
      arrow::flight::FlightMessageReader* reader) override;

  arrow::Result<int64_t> DoPutCommandStatementIngest(const Context& context,
                                                     const arrow::flight::sql::StatementIngest& command,
                                                     arrow::flight::FlightMessageReader* reader) override;

  arrow::Result<arrow::flight::sql::ActionBeginTransactionResult> BeginTransaction(
      const Context& context, const arrow::flight::sql::ActionBeginTransactionRequest& request) override;
  arrow::Status EndTransaction(const Context& context,
                               const arrow::flight::sql::ActionEndTransactionRequest& request) override;

  arrow::Result<Info> GetFlightInfoSqlInfo(const Context& context,
                                           const arrow::flight::sql::GetSqlInfo& command,
                                           const Descriptor& descriptor) override;
  arrow::Result<Info> GetFlightInfoCatalogs(const Context& context, const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetCatalogs(const Context& context) override;
  arrow::Result<Info> GetFlightInfoSchemas(const Context& context,
                                           const arrow::flight::sql::GetDbSchemas& command,
                                           const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetDbSchemas(const Context& context,
                                       const arrow::flight::sql::GetDbSchemas& command) override;
  arrow::Result<Info> GetFlightInfoTables(const Context& context,
                                          const arrow::flight::sql::GetTables& command,
                                          const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetTables(const Context& context,
                                    const arrow::flight::sql::GetTables& command) override;
  arrow::Result<Info> GetFlightInfoTableTypes(const Context& context, const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetTableTypes(const Context& context) override;

  arrow::Result<Info> GetFlightInfoXdbcTypeInfo(const Context& context,
                                                const arrow::flight::sql::GetXdbcTypeInfo& command,
                                                const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetXdbcTypeInfo(const Context& context,
                                          const arrow::flight::sql::GetXdbcTypeInfo& command) override;
  arrow::Result<Info> GetFlightInfoPrimaryKeys(const Context& context,
                                               const arrow::flight::sql::GetPrimaryKeys& command,
                                               const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetPrimaryKeys(const Context& context,
                                         const arrow::flight::sql::GetPrimaryKeys& command) override;
  arrow::Result<Info> GetFlightInfoExportedKeys(const Context& context,
                                                const arrow::flight::sql::GetExportedKeys& command,
                                                const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetExportedKeys(const Context& context,
                                          const arrow::flight::sql::GetExportedKeys& command) override;
  arrow::Result<Info> GetFlightInfoImportedKeys(const Context& context,
                                                const arrow::flight::sql::GetImportedKeys& command,
                                                const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetImportedKeys(const Context& context,
                                          const arrow::flight::sql::GetImportedKeys& command) override;
  arrow::Result<Info> GetFlightInfoCrossReference(const Context& context,
                                                  const arrow::flight::sql::GetCrossReference& command,
                                                  const Descriptor& descriptor) override;
  arrow::Result<Stream> DoGetCrossReference(const Context& context,
                                            const arrow::flight::sql::GetCrossReference& command) override;

  arrow::Result<arrow::flight::CancelFlightInfoResult> CancelFlightInfo(
      const Context& context, const arrow::flight::CancelFlightInfoRequest& request) override;
  arrow::Result<arrow::flight::sql::CancelResult> CancelQuery(
      const Context& context, const arrow::flight::sql::ActionCancelQueryRequest& request) override;
  arrow::Result<arrow::flight::FlightEndpoint> RenewFlightEndpoint(
      const Context& context, const arrow::flight::RenewFlightEndpointRequest& request) override;

  arrow::Result<arrow::flight::SetSessionOptionsResult> SetSessionOptions(
      const Context& context, const arrow::flight::SetSessionOptionsRequest& request) override;
  arrow::Result<arrow::flight::GetSessionOptionsResult> GetSessionOptions(
      const Context& context, const arrow::flight::GetSessionOptionsRequest& request) override;
  arrow::Result<arrow::flight::CloseSessionResult> CloseSession(
      const Context& context, const arrow::flight::CloseSessionRequest& request) override;

 private:
  QueryDoor& queries_;
  CatalogDoor catalog_{queries_};
  PreparedDoor prepared_{queries_};
  TransactionDoor transactions_{queries_};
  SessionDoor sessions_{queries_};
  PollDoor polls_{queries_};
};

}  // namespace pondpilot::worker::flight
