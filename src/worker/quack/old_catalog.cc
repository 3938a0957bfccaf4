#include "worker/quack/old_catalog.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/text.h"
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

// Where `what` stands as code: in no literal, quoted name or comment. npos when it doesn't.
size_t FindCode(std::string_view sql, std::string_view what) {
  const auto behind = [&](std::string_view end, size_t from) {
    const size_t at = sql.find(end, from);
    return at == std::string_view::npos ? sql.size() : at + end.size();
  };
  for (size_t at = 0; at < sql.size();) {
    const std::string_view rest = sql.substr(at);
    if (rest.starts_with(what)) return at;
    if (rest.front() == '\'' || rest.front() == '"') {
      at = behind(rest.substr(0, 1), at + 1);
    } else if (rest.starts_with("--")) {
      at = behind("\n", at);
    } else if (rest.starts_with("/*")) {
      at = behind("*/", at + 2);
    } else if (rest.front() == '$') {
      // $$ or $tag$, or a parameter.
      const size_t tag = sql.find('$', at + 1);
      const bool quotes =
          tag != std::string_view::npos &&
          sql.substr(at + 1, tag - at - 1).find_first_of(" \n\t,()=") == std::string_view::npos;
      at = quotes ? behind(sql.substr(at, tag - at + 1), tag + 1) : at + 1;
    } else {
      ++at;
    }
  }
  return std::string_view::npos;
}

// Where the listing of columns stands in the question that the PondPilot app puts: one SELECT over the
// columns of the current database. npos when it is another text.
size_t FindListing(std::string_view sql) {
  const size_t at = FindCode(sql, kColumnsFunction);
  if (at == std::string_view::npos) return at;
  const bool qualified = at > 0 && sql[at - 1] == '.';
  const bool one_statement = FindCode(sql.substr(0, sql.find_last_not_of("; \n\t\r") + 1), ";") == sql.npos;
  const size_t begin = sql.find_first_not_of(" \n\t\r(");
  const std::string_view first = begin == sql.npos ? "" : sql.substr(begin, 6);
  const bool selects =
      base::EqualsIgnoreCase(first, "SELECT") || base::EqualsIgnoreCase(first.substr(0, 4), "WITH");
  const bool of_this_database = FindCode(sql, "current_database()") != sql.npos;
  return !qualified && one_statement && selects && of_this_database ? at : std::string_view::npos;
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

// The client writes all columns of a table, with what the text says where an INSERT names no value. When the
// text can't say it, the table is one to read only, which is shown as a view: DuckDB would store NULLs, or
// refuse to store anything in a generated column.
bool IsWritable(const engine::CatalogEntry& table) {
  return std::ranges::none_of(table.details->columns, [](const engine::ColumnDetails& column) {
    return column.generated || (column.has_default && column.default_value.empty());
  });
}

std::string CreateText(const engine::CatalogEntry& table) {
  std::string out = "CREATE TABLE " + Identifier(table.schema) + "." + Identifier(table.name) + "(";
  for (size_t i = 0; i < table.sql_columns.size(); ++i) {
    const auto& column = table.sql_columns[i];
    out += (i == 0 ? "" : ", ") + Identifier(column.name) + " " + column.type;
    const std::string& value = table.details->columns.at(i).default_value;
    if (!value.empty()) out += " DEFAULT " + value;
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
  const size_t columns_at = FindListing(sql);
  const bool columns = columns_at != std::string_view::npos;
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
    question.details = true;
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
        if (IsWritable(entry)) {
          rows.push_back({entry.schema, CreateText(entry), "table"});
        } else {
          rows.push_back({entry.schema, entry.name, "view"});
        }
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
