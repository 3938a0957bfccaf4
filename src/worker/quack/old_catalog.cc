#include "worker/quack/old_catalog.h"

#include <algorithm>
#include <map>
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

// What a schema is called for the old client, whose tables have two names and no database.
std::string ShownName(const engine::CatalogEntry& schema) {
  return schema.in_default_schema ? schema.catalog : schema.catalog + "." + schema.schema;
}

struct Schemas {
  std::set<std::string> own;
  // Of attached databases, by database and schema: what they are called.
  std::map<std::pair<std::string, std::string>, std::string> shown;

  const std::string* Shown(const engine::CatalogEntry& entry) const {
    const auto at = shown.find({entry.catalog, entry.schema});
    return at == shown.end() ? nullptr : &at->second;
  }
};

Result<Schemas> FindSchemas(session::StatementRunner& runner, const session::Caller& caller) {
  engine::CatalogQuestion question;
  question.schemas = true;
  const auto found = runner.Look(caller, question);
  if (!found) return std::unexpected(found.error());
  Schemas schemas;
  std::map<std::string, size_t> uses;
  for (const auto& entry : found->entries) {
    if (entry.catalog == kOwnDatabase) {
      schemas.own.insert(entry.schema);
    } else {
      ++uses[ShownName(entry)];
      schemas.shown[{entry.catalog, entry.schema}] = ShownName(entry);
    }
  }
  // A name that means two things shows none of them.
  std::erase_if(schemas.shown,
                [&](const auto& one) { return schemas.own.contains(one.second) || uses[one.second] > 1; });
  return schemas;
}

// Takes the quoted identifier that `text` begins with; nullopt when it begins otherwise.
std::optional<std::string> TakeQuoted(std::string_view& text) {
  if (!text.starts_with('"')) return std::nullopt;
  std::string name;
  for (size_t at = 1; at < text.size(); ++at) {
    if (text[at] != '"') {
      name += text[at];
    } else if (at + 1 < text.size() && text[at + 1] == '"') {
      name += text[at++];
    } else {
      text.remove_prefix(at + 1);
      return name;
    }
  }
  return std::nullopt;
}

// The client reads a view with exactly FROM "schema".name. What to run when this is one that it was shown
// under a name of two parts.
Result<std::optional<std::string>> ReadShown(session::StatementRunner& runner, const session::Caller& caller,
                                             std::string_view sql) {
  constexpr std::string_view kFrom = "FROM ";
  if (!sql.starts_with(kFrom)) return std::nullopt;
  sql.remove_prefix(kFrom.size());
  const auto name = TakeQuoted(sql);
  if (!name || !name->contains('.') || !sql.starts_with('.')) return std::nullopt;
  const auto schemas = FindSchemas(runner, caller);
  if (!schemas) return std::unexpected(schemas.error());
  for (const auto& [place, shown] : schemas->shown) {
    if (shown == *name)
      return std::string(kFrom) + Identifier(place.first) + "." + Identifier(place.second) + std::string(sql);
  }
  return std::nullopt;
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
  if (!schemas && !tables && !columns) return ReadShown(runner, caller, sql);

  const auto all = FindSchemas(runner, caller);
  if (!all) return std::unexpected(all.error());
  if (schemas) {
    std::vector<Row> rows;
    for (const std::string& schema : all->own) rows.push_back({kOwnDatabase, schema});
    for (const auto& [place, name] : all->shown) rows.push_back({kOwnDatabase, name});
    return Values(rows, "catalog_name, schema_name");
  }
  if (tables) {
    engine::CatalogQuestion question;
    question.sql_columns = true;
    const auto found = runner.Look(caller, question);
    if (!found) return std::unexpected(found.error());
    std::vector<Row> rows;
    for (const auto& entry : found->entries) {
      if (const std::string* const name = all->Shown(entry)) {
        rows.push_back({*name, entry.name, "view"});
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
  if (all->shown.empty()) return std::nullopt;
  std::string shown;
  for (const auto& [place, name] : all->shown) {
    shown += (shown.empty() ? "(" : ", (") + Literal(place.first) + ", " + Literal(place.second) + ", " +
             Literal(name) + ")";
  }
  const std::string own = "database_name IN ('system', 'temp', " + Literal(kOwnDatabase) + ")";
  std::string out(sql);
  out.replace(columns_at, kColumnsFunction.size(),
              "(SELECT listed.* REPLACE (CASE WHEN shown_as IS NULL THEN database_name ELSE "
              "current_database() END AS database_name, coalesce(shown_as, schema_name) AS schema_name) FROM "
              "system.main.duckdb_columns() AS listed LEFT JOIN (VALUES " +
                  shown +
                  ") AS shown(shown_database, shown_schema, shown_as) ON database_name = shown_database AND "
                  "schema_name = shown_schema WHERE " +
                  own + " OR shown_as IS NOT NULL)");
  return out;
}

}  // namespace pondpilot::worker::quack
