#include "worker/flight/catalog_door.h"

#include <arrow/api.h>
#include <arrow/ipc/writer.h>

#include <algorithm>

#include "worker/flight/status.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;
using fl::sql::SqlSchema;

std::string Literal(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c;
  }
  return out + "'";
}

std::string Quoted(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string Like(const std::string& column, const std::optional<std::string>& pattern) {
  return pattern ? " AND " + column + " LIKE " + Literal(*pattern) : "";
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> ToBatch(
    const std::shared_ptr<arrow::Schema>& schema, const std::vector<std::vector<std::string>>& rows) {
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

// Gathers the answers of the databases. One that does not answer costs its own part; when none answers that
// is an error, because an empty list would say that there is nothing. DuckDB's duckdb_tables() looks into
// every attached database whatever is asked of it, so for tables one that is down is as good as all.
class Listing {
 public:
  template <typename Rows>
  void Add(const arrow::Result<Rows>& found, Rows& rows) {
    if (!found.ok()) {
      failure_ = found.status();
      return;
    }
    answered_ = true;
    rows.insert(rows.end(), found->begin(), found->end());
  }
  arrow::Status Check(const char* what) const {
    if (answered_ || failure_.ok()) return arrow::Status::OK();
    return failure_.WithMessage(
        "The ", what, " can't be listed, because an attached database does not answer. ", failure_.message());
  }

 private:
  bool answered_ = false;
  arrow::Status failure_;
};

}  // namespace

arrow::Result<CatalogDoor::Rows> CatalogDoor::Query(const fl::ServerCallContext& context,
                                                    const std::string& sql) {
  ARROW_ASSIGN_OR_RAISE(auto stream, queries_.Execute(context, sql));
  Rows rows;
  for (;;) {
    auto batch = stream->Next();
    if (!batch) return ToArrowStatus(batch.error());
    if (!*batch) return rows;
    for (int64_t r = 0; r < (*batch)->num_rows(); ++r) {
      std::vector<std::string>& row = rows.emplace_back();
      for (int c = 0; c < (*batch)->num_columns(); ++c) {
        // By the type: settings of the user's session decide between utf8, large_utf8 and string views.
        ARROW_ASSIGN_OR_RAISE(const auto cell, (*batch)->column(c)->GetScalar(r));
        row.push_back(cell->is_valid ? cell->ToString() : std::string());
      }
    }
  }
}

arrow::Result<std::vector<std::string>> CatalogDoor::CatalogNames(const fl::ServerCallContext& context,
                                                                  const std::optional<std::string>& only) {
  ARROW_ASSIGN_OR_RAISE(
      const Rows rows,
      Query(context, "SELECT database_name FROM duckdb_databases() WHERE NOT internal ORDER BY 1"));
  std::vector<std::string> names;
  for (const auto& row : rows) {
    if (!only || *only == row[0]) names.push_back(row[0]);
  }
  return names;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> CatalogDoor::Catalogs(
    const fl::ServerCallContext& context) {
  ARROW_ASSIGN_OR_RAISE(const auto names, CatalogNames(context, std::nullopt));
  Rows rows;
  for (const std::string& name : names) rows.push_back({name});
  return ToBatch(SqlSchema::GetCatalogsSchema(), rows);
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> CatalogDoor::DbSchemas(
    const fl::ServerCallContext& context, const fl::sql::GetDbSchemas& command) {
  ARROW_ASSIGN_OR_RAISE(const auto names, CatalogNames(context, command.catalog));
  Rows rows;
  Listing listing;
  for (const std::string& name : names) {
    const auto found =
        Query(context,
              "SELECT database_name, schema_name FROM duckdb_schemas() WHERE (NOT internal OR schema_name = "
              "'main') AND database_name = " +
                  Literal(name) + Like("schema_name", command.db_schema_filter_pattern) + " ORDER BY 2");
    listing.Add(found, rows);
  }
  ARROW_RETURN_NOT_OK(listing.Check("schemas"));
  return ToBatch(SqlSchema::GetDbSchemasSchema(), rows);
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> CatalogDoor::Tables(const fl::ServerCallContext& context,
                                                                       const fl::sql::GetTables& command) {
  ARROW_ASSIGN_OR_RAISE(const auto names, CatalogNames(context, command.catalog));
  const auto wanted = [&](const char* type) {
    return command.table_types.empty() ||
           std::ranges::find(command.table_types, type) != command.table_types.end();
  };
  Rows rows;
  Listing listing;
  for (const std::string& name : names) {
    std::string sql;
    for (const auto& [type, function, column] : {std::tuple("TABLE", "duckdb_tables()", "table_name"),
                                                 std::tuple("VIEW", "duckdb_views()", "view_name")}) {
      if (!wanted(type)) continue;
      sql += std::string(sql.empty() ? "" : " UNION ALL ") + "SELECT database_name, schema_name, " + column +
             ", '" + type + "' FROM " + function +
             " WHERE NOT internal AND database_name = " + Literal(name) +
             Like("schema_name", command.db_schema_filter_pattern) +
             Like(column, command.table_name_filter_pattern);
    }
    if (sql.empty()) continue;
    const auto found = Query(context, sql + " ORDER BY 4, 1, 2, 3");
    listing.Add(found, rows);
  }
  ARROW_RETURN_NOT_OK(listing.Check("tables"));
  if (!command.include_schema) return ToBatch(SqlSchema::GetTablesSchema(), rows);
  Rows with_schema;
  for (auto& row : rows) {
    auto stream = queries_.Execute(context, "SELECT * FROM " + Quoted(row[0]) + "." + Quoted(row[1]) + "." +
                                                Quoted(row[2]) + " LIMIT 0");
    if (!stream.ok()) continue;  // gone in between, or not readable by the operator's role
    ARROW_ASSIGN_OR_RAISE(const auto bytes, arrow::ipc::SerializeSchema(*(*stream)->schema()));
    row.push_back(bytes->ToString());
    with_schema.push_back(std::move(row));
  }
  return ToBatch(SqlSchema::GetTablesSchemaWithIncludedSchema(), with_schema);
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> CatalogDoor::TableTypes() {
  return ToBatch(SqlSchema::GetTableTypesSchema(), {{"TABLE"}, {"VIEW"}});
}

}  // namespace pondpilot::worker::flight
