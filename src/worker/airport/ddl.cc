#include "worker/airport/ddl.h"

#include <algorithm>
#include <array>

#include "worker/flight/sql_text.h"

namespace pondpilot::worker::airport {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;
using flight::Quoted;

constexpr std::array<std::string_view, 15> kTableActions = {
    "create_table",       "drop_table",     "rename_table", "add_column",   "remove_column",
    "drop_column",        "rename_column",  "set_default",  "set_not_null", "drop_not_null",
    "change_column_type", "add_constraint", "add_field",    "remove_field", "rename_field"};

std::string Sql(const engine::TableName& table) {
  return Quoted(table.catalog) + "." + Quoted(table.schema) + "." + Quoted(table.table);
}

Result<std::string> QuotedAt(const Message& request, std::initializer_list<const char*> names) {
  auto name = TextAt(request, names);
  if (!name) return name;
  return Quoted(*name);
}

Result<std::string> PathAt(const Message& request) {
  auto parts = TextsAt(request, "column_path");
  if (!parts) return std::unexpected(parts.error());
  if (parts->empty()) return Fail(ErrorCode::kInvalidArgument, "The request has no \"column_path\".");
  std::string path;
  for (const std::string& part : *parts) path += (path.empty() ? "" : ".") + Quoted(part);
  return path;
}

// A new column or field, where there must be one.
Result<std::string> DefinitionOf(const Columns& columns) {
  if (columns.names.size() != 1)
    return Fail(ErrorCode::kInvalidArgument, "\"column_schema\" must describe one column.");
  return Quoted(columns.names[0]) + " " + columns.types[0];
}

Result<std::string> CreateSql(const Message& request, const engine::TableName& table,
                              const Columns& columns) {
  const auto conflict = TextOr(request, {"on_conflict"});
  const auto not_null = NumbersAt(request, "not_null_constraints");
  const auto unique = NumbersAt(request, "unique_constraints");
  const auto checks = TextsAt(request, "check_constraints");
  if (!conflict) return conflict;
  if (!not_null) return std::unexpected(not_null.error());
  if (!unique) return std::unexpected(unique.error());
  if (!checks) return std::unexpected(checks.error());
  if (columns.names.empty()) return Fail(ErrorCode::kInvalidArgument, "A table needs a column.");
  std::string sql = "CREATE TABLE ";
  if (*conflict == "replace") {
    sql = "CREATE OR REPLACE TABLE ";
  } else if (*conflict == "ignore") {
    sql += "IF NOT EXISTS ";
  } else if (!conflict->empty() && *conflict != "error") {
    return Fail(ErrorCode::kInvalidArgument, "\"on_conflict\" must be error, ignore or replace.");
  }
  const auto named = [](const std::optional<std::vector<uint64_t>>& list, size_t column) {
    return list && std::ranges::find(*list, column) != list->end();
  };
  sql += Sql(table) + " (";
  for (size_t i = 0; i < columns.names.size(); ++i) {
    sql += (i == 0 ? "" : ", ") + Quoted(columns.names[i]) + " " + columns.types[i];
    if (named(*not_null, i)) sql += " NOT NULL";
    if (named(*unique, i)) sql += " UNIQUE";
  }
  for (const std::string& check : *checks) sql += ", CHECK (" + check + ")";
  return sql + ")";
}

struct Words {
  std::string if_there;   // after ALTER TABLE
  std::string if_column;  // "IF EXISTS "
  std::string if_new;     // "IF NOT EXISTS "
  std::string cascade;
};

Result<Words> WordsOf(const Message& request) {
  Words words;
  const auto set = [&](const char* flag, std::string& word, const char* text) -> Result<void> {
    const auto given = FlagAt(request, flag);
    if (!given) return std::unexpected(given.error());
    if (*given) word = text;
    return {};
  };
  for (const auto& done : {set("ignore_not_found", words.if_there, "IF EXISTS "),
                           set("if_column_exists", words.if_column, "IF EXISTS "),
                           set("if_column_not_exists", words.if_new, "IF NOT EXISTS "),
                           set("if_field_not_exists", words.if_new, "IF NOT EXISTS "),
                           set("cascade", words.cascade, " CASCADE")}) {
    if (!done) return std::unexpected(done.error());
  }
  return words;
}

// What follows ALTER TABLE and the table's name.
Result<std::string> ChangeSql(std::string_view action, const Message& request, const Words& words,
                              const Columns& columns) {
  // Each text is looked for only where its action has it.
  const auto joined = [](const std::string& before, const Result<std::string>& first,
                         const std::string& between = "",
                         const Result<std::string>& second = std::string()) -> Result<std::string> {
    if (!first) return first;
    if (!second) return second;
    return before + *first + between + *second;
  };
  if (action == "rename_table") return joined("RENAME TO ", QuotedAt(request, {"new_table_name"}));
  if (action == "rename_column") {
    return joined("RENAME COLUMN ", QuotedAt(request, {"old_name"}), " TO ", QuotedAt(request, {"new_name"}));
  }
  if (action == "add_column") return joined("ADD COLUMN " + words.if_new, DefinitionOf(columns));
  if (action == "remove_column" || action == "drop_column") {
    return joined("DROP COLUMN " + words.if_column, QuotedAt(request, {"removed_column", "column_name"}),
                  words.cascade);
  }
  if (action == "set_default") {
    return joined("ALTER COLUMN ", QuotedAt(request, {"column_name"}), " SET DEFAULT ",
                  TextAt(request, {"expression"}));
  }
  if (action == "set_not_null")
    return joined("ALTER COLUMN ", QuotedAt(request, {"column_name"}), " SET NOT NULL");
  if (action == "drop_not_null")
    return joined("ALTER COLUMN ", QuotedAt(request, {"column_name"}), " DROP NOT NULL");
  if (action == "change_column_type") {
    if (columns.names.size() != 1)
      return Fail(ErrorCode::kInvalidArgument, "\"column_schema\" must describe one column.");
    const auto expression = TextOr(request, {"expression"});
    if (!expression) return expression;
    return "ALTER COLUMN " + Quoted(columns.names[0]) + " SET DATA TYPE " + columns.types[0] +
           (expression->empty() ? "" : " USING " + *expression);
  }
  if (action == "add_constraint") return joined("ADD ", TextAt(request, {"constraint"}));
  if (action == "add_field") {
    return joined("ADD COLUMN " + words.if_new, PathAt(request), ".", DefinitionOf(columns));
  }
  if (action == "remove_field")
    return joined("DROP COLUMN " + words.if_column, PathAt(request), words.cascade);
  return joined("RENAME COLUMN ", PathAt(request), " TO ", QuotedAt(request, {"new_name"}));  // rename_field
}

}  // namespace

std::span<const std::string_view> TableActions() { return kTableActions; }

bool IsTableAction(std::string_view action) {
  return std::ranges::find(kTableActions, action) != kTableActions.end();
}

Result<ClientName> ClientNameIn(const Message& request) {
  auto catalog = TextOr(request, {"catalog_name", "catalog"});
  auto schema = TextOr(request, {"schema_name", "schema"});
  auto name = TextOr(request, {"table_name", "name"});
  if (!catalog) return std::unexpected(catalog.error());
  if (!schema) return std::unexpected(schema.error());
  if (!name) return std::unexpected(name.error());
  return ClientName{std::move(*catalog), std::move(*schema), std::move(*name)};
}

const char* SchemaFieldOf(std::string_view action) {
  if (action == "create_table") return "arrow_schema";
  if (action == "add_column" || action == "add_field" || action == "change_column_type")
    return "column_schema";
  return nullptr;
}

Result<Alteration> AlterationOf(std::string_view action, const Message& request,
                                const engine::TableName& table, const Columns& columns) {
  if (action == "create_table") {
    auto sql = CreateSql(request, table, columns);
    if (!sql) return std::unexpected(sql.error());
    return Alteration{std::move(*sql), table.table};
  }
  const auto words = WordsOf(request);
  if (!words) return std::unexpected(words.error());
  if (action == "drop_table")
    return Alteration{"DROP TABLE " + words->if_there + Sql(table) + words->cascade, ""};
  auto change = ChangeSql(action, request, *words, columns);
  if (!change) return std::unexpected(change.error());
  std::string name = table.table;
  if (action == "rename_table") {
    auto renamed = TextAt(request, {"new_table_name"});
    if (!renamed) return std::unexpected(renamed.error());
    name = std::move(*renamed);
  }
  return Alteration{"ALTER TABLE " + words->if_there + Sql(table) + " " + *change, std::move(name)};
}

}  // namespace pondpilot::worker::airport
