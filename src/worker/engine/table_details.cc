#include "worker/engine/table_details.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.h"

namespace pondpilot::worker::engine {
namespace {

using duckdb::ExpressionClass;
using duckdb::ParsedExpression;

std::string TextOf(const duckdb::Value& comment) { return comment.IsNull() ? "" : comment.ToString(); }

// Does the default mean the same in any DuckDB? Sequences and macros are where they were made.
bool IsPortable(const ParsedExpression& expression) {
  static constexpr std::array<std::string_view, 9> kFunctions = {"now",
                                                                 "get_current_timestamp",
                                                                 "current_timestamp",
                                                                 "current_date",
                                                                 "today",
                                                                 "uuid",
                                                                 "gen_random_uuid",
                                                                 "random",
                                                                 "list_value"};
  bool portable = true;
  switch (expression.GetExpressionClass()) {
    case ExpressionClass::CONSTANT:
    case ExpressionClass::CAST:
      break;
    case ExpressionClass::FUNCTION: {
      const auto name = base::ToLowerAscii(
          expression.Cast<duckdb::FunctionExpression>().FunctionName().GetIdentifierName());
      portable = std::ranges::find(kFunctions, name) != kFunctions.end();
      break;
    }
    default:
      return false;
  }
  duckdb::ParsedExpressionIterator::EnumerateChildren(
      expression, [&](const ParsedExpression& child) { portable = portable && IsPortable(child); });
  return portable;
}

ColumnDetails ColumnOf(const std::string& name, const duckdb::LogicalType& type) {
  ColumnDetails details;
  details.name = name;
  details.type = type.ToString();
  details.type_id = duckdb::EnumUtil::ToString(type.id());
  const bool collated =
      type.id() == duckdb::LogicalTypeId::VARCHAR && !duckdb::StringType::GetCollation(type).empty();
  details.plain = !type.HasAlias() && !collated;
  return details;
}

}  // namespace

TableDetails DetailsOf(duckdb::ClientContext& context, duckdb::TableCatalogEntry& table) {
  TableDetails details;
  details.comment = TextOf(table.comment);
  auto& catalog = table.ParentCatalog();
  details.kind = catalog.GetCatalogType();
  details.read_only = catalog.GetAttached().IsReadOnly();
  const bool own = table.IsDuckTable();
  details.row_ids = own;
  for (const auto& column : table.GetColumns().Logical()) {
    auto& told = details.columns.emplace_back(ColumnOf(column.Name().GetIdentifierName(), column.Type()));
    told.comment = TextOf(column.Comment());
    told.generated = column.Generated();
    if (base::EqualsIgnoreCase(told.name, "rowid")) details.row_ids = false;
    told.has_default = !told.generated && column.HasDefaultValue();
    if (own && told.has_default && IsPortable(column.DefaultValue()))
      told.default_value = column.DefaultValue().ToString();
  }
  // A server would have to be asked.
  if (own) {
    if (const auto cardinality = table.GetStorageInfo(context).cardinality; cardinality.IsValid())
      details.rows = cardinality.GetIndex();
  }
  return details;
}

TableDetails DetailsOf(duckdb::ViewCatalogEntry& view) {
  TableDetails details;
  details.comment = TextOf(view.comment);
  details.kind = view.ParentCatalog().GetCatalogType();
  if (const auto columns = view.GetColumnInfo()) {
    for (size_t i = 0; i < columns->types.size(); ++i)
      details.columns.push_back(ColumnOf(columns->names[i].GetIdentifierName(), columns->types[i]));
  }
  return details;
}

TableDetails DetailsOf(const duckdb::SchemaCatalogEntry& schema) {
  TableDetails details;
  details.comment = TextOf(schema.comment);
  return details;
}

}  // namespace pondpilot::worker::engine
