// What DuckDB keeps about the values of a table's column.
#include "worker/engine/attach.h"
#include "worker/engine/connection.h"

namespace pondpilot::worker::engine {
namespace {

using base::Result;
using duckdb::Identifier;
using duckdb::Value;

std::optional<std::string> Literal(const Value& value) {
  if (value.IsNull()) return std::nullopt;
  if (value.type().id() == duckdb::LogicalTypeId::VARCHAR) return SqlLiteral(value.ToString());
  return value.ToSQLString();
}

void AddBounds(const duckdb::BaseStatistics& kept, ColumnStatistics& told) {
  switch (kept.GetStatsType()) {
    case duckdb::StatisticsType::NUMERIC_STATS:
      if (duckdb::NumericStats::HasMin(kept)) told.min = Literal(duckdb::NumericStats::Min(kept));
      if (duckdb::NumericStats::HasMax(kept)) told.max = Literal(duckdb::NumericStats::Max(kept));
      return;
    case duckdb::StatisticsType::STRING_STATS:
      // The beginnings of the least and the greatest, cut where they are valid text.
      if (duckdb::StringStats::HasMin(kept)) told.min = Literal(duckdb::StringStats::TryGetValidMin(kept));
      if (duckdb::StringStats::HasMax(kept)) told.max = Literal(duckdb::StringStats::TryGetValidMax(kept));
      return;
    default:
      return;
  }
}

}  // namespace

Result<ColumnStatistics> DuckDbConnection::Statistics(const TableName& name, const std::string& column) {
  return Call<ColumnStatistics>("", [&]() -> Result<ColumnStatistics> {
    ColumnStatistics told;
    auto& context = *connection_->context;
    context.RunFunctionInTransaction([&] {
      const duckdb::QualifiedName qualified(Identifier(name.catalog), Identifier(name.schema),
                                            Identifier(name.table));
      auto& table = duckdb::Catalog::GetCatalog(context, Identifier(name.catalog))
                        .GetEntry<duckdb::TableCatalogEntry>(context, qualified);
      const auto& definition = table.GetColumn(Identifier(column));
      told.type = definition.Type().ToString();
      // An attached server's would have to be asked for.
      if (definition.Generated() || !table.IsDuckTable()) return;
      const auto kept = table.GetStatistics(context, definition.Logical().index);
      if (!kept) return;
      told.has_null = kept->CanHaveNull();
      told.has_not_null = kept->CanHaveNoNull();
      told.distinct = kept->GetDistinctCount();
      AddBounds(*kept, told);
    });
    return told;
  });
}

}  // namespace pondpilot::worker::engine
