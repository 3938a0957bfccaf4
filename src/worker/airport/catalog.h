#pragma once

#include <arrow/flight/server.h>

#include <string>
#include <vector>

#include "worker/airport/ddl.h"
#include "worker/airport/message.h"
#include "worker/airport/names.h"
#include "worker/airport/table_info.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::airport {

// What there is, for airport clients, asked anew each time: nothing of it is kept. A catalog is '' for all
// databases, or the name of one.
class Catalog {
 public:
  using Context = arrow::flight::ServerCallContext;

  // `runner` must outlive it.
  explicit Catalog(session::StatementRunner& runner) : runner_(runner) {}

  // The reply of list_schemas: [length, zstd] of {contents, schemas, version_info}.
  arrow::Result<std::string> List(const Context& context, const std::string& catalog);
  // {catalog_version, is_fixed}. The version is a digest of what list_schemas tells, but for row counts: it
  // moves with every change, whoever makes it, and is the same again when that is taken back.
  arrow::Result<Message> Version(const Context& context, const std::string& catalog);

  // The table or view of these names; KeyError when it is not there.
  arrow::Result<engine::CatalogEntry> Find(const Context& context, const engine::TableName& table);
  // The same, with what a scan that begins afterwards needs of it.
  arrow::Result<engine::CatalogEntry> FindToRead(const Context& context, const engine::TableName& table);
  // The schemas of a catalog.
  arrow::Result<std::vector<SchemaName>> SchemasOf(const Context& context, const std::string& catalog);
  // The schema that a client means; KeyError when it is not there.
  arrow::Result<SchemaName> FindSchema(const Context& context, const std::string& catalog,
                                       const std::string& advertised);
  // The place for a new schema of that name; KeyError when its database is not there.
  arrow::Result<SchemaName> PlaceForSchema(const Context& context, const std::string& catalog,
                                           const std::string& advertised);

 private:
  struct Content {
    std::vector<SchemaName> schemas;
    std::vector<std::string> comments;  // of them
    std::vector<engine::CatalogEntry> entries;
  };
  arrow::Result<std::vector<engine::CatalogEntry>> Schemas(const Context& context,
                                                           const std::string& catalog);
  arrow::Result<engine::CatalogEntry> FindOne(const Context& context, const engine::TableName& table,
                                              bool row_id_base);
  arrow::Result<Content> Read(const Context& context, const std::string& catalog);
  static Message VersionOf(const Content& content);

  session::StatementRunner& runner_;
};

}  // namespace pondpilot::worker::airport
