#include "worker/flight/catalog_door.h"

#include <arrow/api.h>
#include <arrow/ipc/writer.h>

#include <algorithm>
#include <utility>

#include "worker/flight/caller.h"
#include "worker/flight/catalog_question.h"
#include "worker/flight/status.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;
using fl::sql::SqlSchema;

using Texts = std::vector<std::vector<std::string>>;

arrow::Result<std::shared_ptr<arrow::RecordBatch>> ToBatch(const std::shared_ptr<arrow::Schema>& schema,
                                                           const Texts& rows) {
  arrow::ArrayVector columns;
  for (int c = 0; c < schema->num_fields(); ++c) {
    std::unique_ptr<arrow::ArrayBuilder> builder;
    ARROW_RETURN_NOT_OK(arrow::MakeBuilder(arrow::default_memory_pool(), schema->field(c)->type(), &builder));
    auto& binary = static_cast<arrow::BinaryBuilder&>(*builder);  // utf8 and binary alike
    for (const auto& row : rows) ARROW_RETURN_NOT_OK(binary.Append(row[static_cast<size_t>(c)]));
    ARROW_ASSIGN_OR_RAISE(columns.emplace_back(), builder->Finish());
  }
  return arrow::RecordBatch::Make(schema, static_cast<int64_t>(rows.size()), columns);
}

}  // namespace

arrow::Result<engine::CatalogAnswer> CatalogDoor::Ask(const Context& context,
                                                      const engine::CatalogQuestion& question,
                                                      const char* what) {
  return AskCatalog(queries_.runner(), JoiningCallerOf(context), question, what);
}

CatalogDoor::Rows CatalogDoor::Catalogs(const Context& context) {
  ARROW_ASSIGN_OR_RAISE(
      auto stream,
      queries_.Execute(
          JoiningCallerOf(context),
          {"SELECT database_name FROM duckdb_databases() WHERE NOT internal ORDER BY 1", "", nullptr}));
  Texts rows;
  for (;;) {
    auto batch = stream->Next();
    if (!batch) return ToArrowStatus(batch.error());
    if (!*batch) return ToBatch(SqlSchema::GetCatalogsSchema(), rows);
    for (int64_t r = 0; r < (*batch)->num_rows(); ++r) {
      // By the type: settings of the user's session decide between utf8, large_utf8 and string views.
      ARROW_ASSIGN_OR_RAISE(const auto cell, (*batch)->column(0)->GetScalar(r));
      rows.push_back({cell->ToString()});
    }
  }
}

CatalogDoor::Rows CatalogDoor::DbSchemas(const Context& context, const fl::sql::GetDbSchemas& command) {
  engine::CatalogQuestion question;
  question.catalog = command.catalog;
  question.schema_pattern = command.db_schema_filter_pattern;
  question.schemas = true;
  ARROW_ASSIGN_OR_RAISE(const auto answer, Ask(context, question, "schemas"));
  Texts rows;
  for (const auto& entry : answer.entries) rows.push_back({entry.catalog, entry.schema});
  return ToBatch(SqlSchema::GetDbSchemasSchema(), rows);
}

CatalogDoor::Rows CatalogDoor::Tables(const Context& context, const fl::sql::GetTables& command) {
  const auto wanted = [&](const char* type) {
    return command.table_types.empty() ||
           std::ranges::find(command.table_types, type) != command.table_types.end();
  };
  engine::CatalogQuestion question;
  question.catalog = command.catalog;
  question.schema_pattern = command.db_schema_filter_pattern;
  question.name_pattern = command.table_name_filter_pattern;
  question.tables = wanted("TABLE");
  question.views = wanted("VIEW");
  question.columns = command.include_schema;
  ARROW_ASSIGN_OR_RAISE(const auto answer, Ask(context, question, "tables"));
  Texts rows;
  for (const auto& entry : answer.entries) {
    auto& row = rows.emplace_back(
        std::vector<std::string>{entry.catalog, entry.schema, entry.name, entry.is_view ? "VIEW" : "TABLE"});
    if (!command.include_schema) continue;
    // A view over something that is gone is listed without columns.
    const auto columns = entry.columns ? entry.columns : arrow::schema({});
    ARROW_ASSIGN_OR_RAISE(const auto bytes, arrow::ipc::SerializeSchema(*columns));
    row.push_back(bytes->ToString());
  }
  return ToBatch(
      command.include_schema ? SqlSchema::GetTablesSchemaWithIncludedSchema() : SqlSchema::GetTablesSchema(),
      rows);
}

CatalogDoor::Rows CatalogDoor::TableTypes() {
  return ToBatch(SqlSchema::GetTableTypesSchema(), {{"TABLE"}, {"VIEW"}});
}

}  // namespace pondpilot::worker::flight
