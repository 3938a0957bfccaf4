#pragma once

#include <arrow/flight/sql/server.h>

#include "worker/flight/catalog_door.h"
#include "worker/flight/query_door.h"

namespace pondpilot::worker::flight {

// Flight SQL's verbs. What is not overridden here is answered UNIMPLEMENTED by the base class. Never started
// as a server of its own: FlightService hands it the calls that are Flight SQL.
class SqlServer final : public arrow::flight::sql::FlightSqlServerBase {
 public:
  SqlServer(QueryDoor& queries, CatalogDoor& catalog);

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

  arrow::Result<arrow::flight::CloseSessionResult> CloseSession(
      const Context& context, const arrow::flight::CloseSessionRequest& request) override;

 private:
  QueryDoor& queries_;
  CatalogDoor& catalog_;
};

}  // namespace pondpilot::worker::flight
