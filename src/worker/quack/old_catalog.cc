#include "worker/quack/old_catalog.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "worker/quack/quoting.h"

namespace pondpilot::worker::quack {
namespace {

using base::Result;

// What DuckDB calls the database that it was opened with.
constexpr char kOwnDatabase[] = "memory";

// The questions of ATTACH, as version 1 of the protocol has always put them.
constexpr char kSchemas[] =
    "SELECT catalog_name, schema_name FROM information_schema.schemata WHERE catalog_name NOT IN ('system', "
    "'temp') "
    "ORDER BY ALL";
constexpr char kTables[] =
    "SELECT schema_name, sql, 'table' FROM duckdb_tables() UNION ALL SELECT schema_name, view_name, 'view' "
    "FROM "
    "duckdb_views()";
constexpr std::string_view kColumnsFunction = "duckdb_columns()";

// With one blank wherever there are some.
std::string Normalized(std::string_view sql) {
  std::string out;
  for (const char c : sql) {
    const bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!blank) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  while (!out.empty() && (out.back() == ' ' || out.back() == ';')) out.pop_back();
  return out;
}

using Row = std::vector<std::string>;

std::string Values(const std::vector<Row>& rows, const std::string& names) {
  std::string out = "SELECT * FROM (VALUES ";
  for (const Row& row : rows) {
    out += out.ends_with(' ') ? "(" : ", (";
    for (size_t i = 0; i < row.size(); ++i) out += (i == 0 ? "" : ", ") + Literal(row[i]);
    out += ")";
  }
  return out + ") AS listed(" + names + ")";
}

bool Attached(const engine::CatalogEntry& entry, const std::set<std::string>& own_schemas) {
  // A schema of the same name would make the short form mean two things.
  return entry.catalog != kOwnDatabase && entry.in_default_schema && !own_schemas.contains(entry.catalog);
}

std::string CreateText(const engine::CatalogEntry& table) {
  std::string out = "CREATE TABLE " + Identifier(table.schema) + "." + Identifier(table.name) + "(";
  for (size_t i = 0; i < table.sql_columns.size(); ++i) {
    const auto& column = table.sql_columns[i];
    out += (i == 0 ? "" : ", ") + Identifier(column.name) + " " + column.type;
  }
  return out + ");";
}

}  // namespace

Result<std::optional<std::string>> ForOldClient(session::StatementRunner& runner,
                                                const session::Caller& caller, std::string_view sql) {
  constexpr size_t kLongestListing = 64 << 10;
  if (sql.size() > kLongestListing) return std::nullopt;
  const std::string asked = Normalized(sql);
  const bool schemas = asked == kSchemas || asked == std::string(" ") + kSchemas;
  const bool tables = asked == kTables || asked == std::string(" ") + kTables;
  const size_t columns_at = sql.find(kColumnsFunction);
  const bool columns = columns_at != std::string_view::npos && sql.contains("current_database()") &&
                       (columns_at == 0 || sql[columns_at - 1] != '.');
  if (!schemas && !tables && !columns) return std::nullopt;

  engine::CatalogQuestion question;
  question.schemas = true;
  const auto all_schemas = runner.Look(caller, question);
  if (!all_schemas) return std::unexpected(all_schemas.error());
  std::set<std::string> own_schemas;
  std::set<std::string> databases;
  for (const auto& entry : all_schemas->entries) {
    if (entry.catalog == kOwnDatabase) {
      own_schemas.insert(entry.schema);
    } else {
      databases.insert(entry.catalog);
    }
  }
  if (schemas) {
    std::vector<Row> rows;
    for (const std::string& schema : own_schemas) rows.push_back({kOwnDatabase, schema});
    for (const std::string& database : databases) {
      if (!own_schemas.contains(database)) rows.push_back({kOwnDatabase, database});
    }
    return Values(rows, "catalog_name, schema_name");
  }
  question.schemas = false;
  question.sql_columns = tables;
  const auto found = runner.Look(caller, question);
  if (!found) return std::unexpected(found.error());
  if (tables) {
    std::vector<Row> rows;
    for (const auto& entry : found->entries) {
      if (Attached(entry, own_schemas)) {
        rows.push_back({entry.catalog, entry.name, "view"});
      } else if (entry.catalog == kOwnDatabase && entry.is_view) {
        rows.push_back({entry.schema, entry.name, "view"});
      } else if (entry.catalog == kOwnDatabase &&
                 std::ranges::all_of(entry.sql_columns, &engine::CatalogEntry::SqlColumn::known_to_1_5)) {
        rows.push_back({entry.schema, CreateText(entry), "table"});
      }
    }
    if (rows.empty()) return "SELECT ''::VARCHAR AS schema_name, ''::VARCHAR AS sql, 'table' WHERE false";
    return Values(rows, "schema_name, sql, \"'table'\"");
  }
  std::set<std::pair<std::string, std::string>> places;
  for (const auto& entry : found->entries) {
    if (Attached(entry, own_schemas)) places.emplace(entry.catalog, entry.schema);
  }
  if (places.empty()) return std::nullopt;
  std::string shown;
  for (const auto& [catalog, schema] : places)
    shown += (shown.empty() ? "(" : ", (") + Literal(catalog) + ", " + Literal(schema) + ")";
  std::string out(sql);
  out.replace(
      columns_at, kColumnsFunction.size(),
      "(SELECT * REPLACE (CASE WHEN database_name IN ('system', 'temp') THEN database_name ELSE "
      "current_database() END AS database_name, CASE WHEN database_name IN ('system', 'temp', " +
          Literal(kOwnDatabase) +
          ") THEN schema_name ELSE database_name END AS schema_name) FROM system.main.duckdb_columns() WHERE "
          "database_name IN ('system', 'temp', " +
          Literal(kOwnDatabase) + ") OR (database_name, schema_name) IN (" + shown + "))");
  return out;
}

}  // namespace pondpilot::worker::quack
