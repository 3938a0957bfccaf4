#include "worker/airport/scan.h"

#include <arrow/type.h>

#include <algorithm>
#include <limits>

#include "worker/airport/filter.h"
#include "worker/airport/table_info.h"
#include "worker/flight/sql_text.h"

namespace pondpilot::worker::airport {
namespace {

// DuckDB's COLUMN_IDENTIFIER_ROW_ID.
constexpr uint64_t kRowIdColumn = std::numeric_limits<uint64_t>::max();

std::string ConditionOf(const Filter& filter) {
  std::string condition;
  if (!filter.direct.empty()) condition = filter.direct;
  if (!filter.here.empty()) {
    // An expression of which nobody knows what it gives stays where it is: DuckDB hands no part of it on.
    condition += (condition.empty() ? "" : " AND ") +
                 std::string("CASE WHEN system.main.random() >= 0 THEN ") + filter.here + " END";
  }
  return condition.empty() ? "" : " WHERE " + condition;
}

// Functions are named in full: a client may have macros of their names, and operators are functions.
std::string RowIdSql(int64_t base) {
  return "system.main.add(rowid, CAST(" + std::to_string(base) + " AS BIGINT)) AS rowid";
}

}  // namespace

arrow::Result<TableScan> ScanOf(const engine::CatalogEntry& entry,
                                const std::optional<std::vector<uint64_t>>& columns,
                                const std::string& json_filters) {
  using flight::Quoted;
  const engine::TableDetails& details = *entry.details;
  const auto advertised = SchemaOf(entry);
  const auto wanted = [&](uint64_t column) {
    return !columns || std::ranges::find(*columns, column) != columns->end();
  };
  TableScan scan;
  arrow::FieldVector fields;
  for (int i = 0; i < advertised->num_fields(); ++i) {
    const auto& field = advertised->field(i);
    const bool is_row_id = details.row_ids && i + 1 == advertised->num_fields();
    const std::string name = is_row_id ? kRowId : Quoted(field->name());
    scan.sql += i == 0 ? "SELECT " : ", ";
    if (wanted(is_row_id ? kRowIdColumn : static_cast<uint64_t>(i))) {
      if (is_row_id && !details.row_id_base)
        return arrow::Status::NotImplemented("The table has too many rows for row identifiers.");
      scan.sql += is_row_id ? RowIdSql(*details.row_id_base) : name;
      fields.push_back(field);
    } else {
      // NULL of the column's own type, which is not read for it.
      scan.sql += "CASE WHEN false THEN " + name + " END AS " + Quoted(field->name());
      fields.push_back(field->WithNullable(true));
    }
  }
  const Filter filter = ReadFilter(json_filters, details, entry.is_view);
  scan.sql += " FROM " + Quoted(entry.catalog) + "." + Quoted(entry.schema) + "." + Quoted(entry.name) +
              ConditionOf(filter);
  scan.schema = arrow::schema(std::move(fields), advertised->metadata());
  if (filter.empty()) scan.rows = details.rows;
  return scan;
}

}  // namespace pondpilot::worker::airport
