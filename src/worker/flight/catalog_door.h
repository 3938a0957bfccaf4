#pragma once

#include <arrow/flight/sql/server.h>

#include <memory>
#include <string>

#include "worker/flight/query_door.h"

namespace pondpilot::worker::flight {

// Flight SQL's questions about what there is: catalogs, schemas, tables. Each attached database is asked
// apart; what can't be listed at all is an error, never an empty list.
class CatalogDoor {
 public:
  explicit CatalogDoor(QueryDoor& queries) : queries_(queries) {}

  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Catalogs(
      const arrow::flight::ServerCallContext& context);
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> DbSchemas(
      const arrow::flight::ServerCallContext& context, const arrow::flight::sql::GetDbSchemas& command);
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Tables(const arrow::flight::ServerCallContext& context,
                                                            const arrow::flight::sql::GetTables& command);
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> TableTypes();

 private:
  using Rows = std::vector<std::vector<std::string>>;
  arrow::Result<Rows> Query(const arrow::flight::ServerCallContext& context, const std::string& sql);
  arrow::Result<std::vector<std::string>> CatalogNames(const arrow::flight::ServerCallContext& context,
                                                       const std::optional<std::string>& only);

  QueryDoor& queries_;
};

}  // namespace pondpilot::worker::flight
