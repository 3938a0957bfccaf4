#pragma once

#include <arrow/flight/sql/server.h>

#include <memory>
#include <string>

#include "worker/flight/query_door.h"

namespace pondpilot::worker::flight {

// Flight SQL's questions about what there is: catalogs, schemas, tables, keys. Each attached database is
// asked apart: one that does not answer costs its own part, and is an error, never an empty list, when
// nothing else was asked for.
class CatalogDoor {
 public:
  using Context = arrow::flight::ServerCallContext;
  using Rows = arrow::Result<std::shared_ptr<arrow::RecordBatch>>;

  // `queries` must outlive the door.
  explicit CatalogDoor(QueryDoor& queries) : queries_(queries) {}

  Rows Catalogs(const Context& context);
  Rows DbSchemas(const Context& context, const arrow::flight::sql::GetDbSchemas& command);
  Rows Tables(const Context& context, const arrow::flight::sql::GetTables& command);
  Rows TableTypes();

  // Of a table that is named without its catalog or schema: of every table of that name.
  Rows PrimaryKeys(const Context& context, const arrow::flight::sql::TableRef& table);
  // Foreign keys that point to the table.
  Rows ExportedKeys(const Context& context, const arrow::flight::sql::TableRef& table);
  // Foreign keys of the table.
  Rows ImportedKeys(const Context& context, const arrow::flight::sql::TableRef& table);
  // Foreign keys of one table that point to the other.
  Rows CrossReference(const Context& context, const arrow::flight::sql::TableRef& primary,
                      const arrow::flight::sql::TableRef& foreign);

 private:
  arrow::Result<engine::CatalogAnswer> Ask(const Context& context, const engine::CatalogQuestion& question,
                                           const char* what);

  QueryDoor& queries_;
};

}  // namespace pondpilot::worker::flight
