#include "worker/airport/statistics.h"

#include <arrow/array.h>
#include <arrow/array/util.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/type.h>

namespace pondpilot::worker::airport {
namespace {

// The client takes the longer of least and greatest for the longest text there is, and packs texts that are
// shorter than 16 bytes into numbers. What DuckDB keeps are beginnings: behind that of the greatest goes what
// is greater than any rest and long enough.
constexpr char kGreaterThanAnyRest[] = "repeat(chr(1114111), 4)";

}  // namespace

std::string BoundsSql(const engine::ColumnStatistics& statistics) {
  std::string min = statistics.min.value_or("NULL");
  std::string max = statistics.max.value_or("NULL");
  if (statistics.type == "VARCHAR") {
    // It reads a missing one as the text "NULL".
    min = statistics.min.value_or("''");
    max = statistics.max.value_or("''") + " || " + kGreaterThanAnyRest;
  }
  return "SELECT CAST(" + min + " AS " + statistics.type + ") AS min, CAST(" + max + " AS " +
         statistics.type + ") AS max";
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> StatisticsRow(const engine::ColumnStatistics& statistics,
                                                                 const arrow::RecordBatch& bounds) {
  const auto flag = [](bool value) { return arrow::MakeArrayFromScalar(arrow::BooleanScalar(value), 1); };
  ARROW_ASSIGN_OR_RAISE(const auto has_not_null, flag(statistics.has_not_null));
  ARROW_ASSIGN_OR_RAISE(const auto has_null, flag(statistics.has_null));
  ARROW_ASSIGN_OR_RAISE(const auto distinct,
                        arrow::MakeArrayFromScalar(arrow::UInt64Scalar(statistics.distinct), 1));
  const auto schema = arrow::schema(
      {bounds.schema()->field(0), bounds.schema()->field(1), arrow::field("has_not_null", arrow::boolean()),
       arrow::field("has_null", arrow::boolean()), arrow::field("distinct_count", arrow::uint64())});
  return arrow::RecordBatch::Make(schema, 1,
                                  {bounds.column(0), bounds.column(1), has_not_null, has_null, distinct});
}

}  // namespace pondpilot::worker::airport
