#include "worker/flight/type_info.h"

#include <arrow/api.h>
#include <arrow/flight/sql/server.h>
#include <arrow/json/from_string.h>

namespace pondpilot::worker::flight {
namespace {

// In the order of the schema: type_name, data_type, column_size, literal_prefix, literal_suffix,
// create_params, nullable, case_sensitive, searchable, unsigned_attribute, fixed_prec_scale, auto_increment,
// local_type_name, minimum_scale, maximum_scale, sql_data_type, datetime_subcode, num_prec_radix,
// interval_precision. By data_type, the type that is nearest to it first.
constexpr char kTypes[] = R"([
  ["BIT", -7, 1, "'", "'::BIT", null, 1, false, 3, null, false, false, "BIT", null, null, -7, null, null, null],
  ["TINYINT", -6, 3, null, null, null, 1, false, 3, false, false, false, "TINYINT", 0, 0, -6, null, 10, null],
  ["UTINYINT", -6, 3, null, null, null, 1, false, 3, true, false, false, "UTINYINT", 0, 0, -6, null, 10, null],
  ["BIGINT", -5, 19, null, null, null, 1, false, 3, false, false, false, "BIGINT", 0, 0, -5, null, 10, null],
  ["UBIGINT", -5, 20, null, null, null, 1, false, 3, true, false, false, "UBIGINT", 0, 0, -5, null, 10, null],
  ["BLOB", -3, null, "'", "'::BLOB", null, 1, false, 3, null, false, false, "BLOB", null, null, -3, null, null, null],
  ["UUID", 1, 36, "'", "'", null, 1, false, 3, null, false, false, "UUID", null, null, 1, null, null, null],
  ["DECIMAL", 3, 38, null, null, ["precision", "scale"], 1, false, 3, false, false, false, "DECIMAL", 0, 38, 3, null, 10, null],
  ["HUGEINT", 3, 38, null, null, null, 1, false, 3, false, false, false, "HUGEINT", 0, 0, 3, null, 10, null],
  ["INTEGER", 4, 10, null, null, null, 1, false, 3, false, false, false, "INTEGER", 0, 0, 4, null, 10, null],
  ["UINTEGER", 4, 10, null, null, null, 1, false, 3, true, false, false, "UINTEGER", 0, 0, 4, null, 10, null],
  ["SMALLINT", 5, 5, null, null, null, 1, false, 3, false, false, false, "SMALLINT", 0, 0, 5, null, 10, null],
  ["USMALLINT", 5, 5, null, null, null, 1, false, 3, true, false, false, "USMALLINT", 0, 0, 5, null, 10, null],
  ["FLOAT", 7, 24, null, null, null, 1, false, 3, false, false, false, "FLOAT", null, null, 7, null, 2, null],
  ["DOUBLE", 8, 53, null, null, null, 1, false, 3, false, false, false, "DOUBLE", null, null, 8, null, 2, null],
  ["VARCHAR", 12, null, "'", "'", null, 1, true, 3, null, false, false, "VARCHAR", null, null, 12, null, null, null],
  ["BOOLEAN", 16, 1, null, null, null, 1, false, 3, null, false, false, "BOOLEAN", null, null, 16, null, null, null],
  ["DATE", 91, 10, "DATE '", "'", null, 1, false, 3, null, false, false, "DATE", null, null, 9, 1, null, null],
  ["TIME", 92, 15, "TIME '", "'", null, 1, false, 3, null, false, false, "TIME", 0, 6, 9, 2, null, null],
  ["TIMESTAMP", 93, 26, "TIMESTAMP '", "'", null, 1, false, 3, null, false, false, "TIMESTAMP", 0, 6, 9, 3, null, null],
  ["TIMESTAMP WITH TIME ZONE", 2014, 32, "TIMESTAMPTZ '", "'", null, 1, false, 3, null, false, false, "TIMESTAMP WITH TIME ZONE", 0, 6, 2014, null, null, null]
])";

}  // namespace

arrow::Result<std::shared_ptr<arrow::RecordBatch>> XdbcTypes(const std::optional<int>& data_type) {
  const auto& schema = arrow::flight::sql::SqlSchema::GetXdbcTypeInfoSchema();
  ARROW_ASSIGN_OR_RAISE(const auto rows,
                        arrow::json::ArrayFromJSONString(arrow::struct_(schema->fields()), kTypes));
  const auto& table = static_cast<const arrow::StructArray&>(*rows);
  const auto numbers = std::static_pointer_cast<arrow::Int32Array>(table.field(1));
  int64_t from = 0;
  int64_t to = table.length();
  if (data_type) {
    while (from < to && numbers->Value(from) != *data_type) ++from;
    int64_t end = from;
    while (end < to && numbers->Value(end) == *data_type) ++end;
    to = end;
  }
  arrow::ArrayVector columns;
  for (const auto& field : table.fields()) columns.push_back(field->Slice(from, to - from));
  return arrow::RecordBatch::Make(schema, to - from, std::move(columns));
}

}  // namespace pondpilot::worker::flight
