#include "worker/airport/statistics.h"

#include <arrow/array.h>
#include <arrow/array/util.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/type.h>

namespace pondpilot::worker::airport {
namespace {

// The client reads a missing bound of texts as the text "NULL", and packs texts into numbers when both bounds
// are shorter than 16 bytes. It keeps the first 8 or 12 bytes of them: of no text are these greater.
constexpr char kGreatestText[] = "\xF4\x8F\xBF\xBF\xF4\x8F\xBF\xBF\xF4\x8F\xBF\xBF\xF4\x8F\xBF\xBF";

}  // namespace

arrow::Result<std::shared_ptr<arrow::RecordBatch>> StatisticsRow(
    const std::shared_ptr<arrow::DataType>& type) {
  std::shared_ptr<arrow::Array> min;
  std::shared_ptr<arrow::Array> max;
  if (type->id() == arrow::Type::STRING) {
    ARROW_ASSIGN_OR_RAISE(min, arrow::MakeArrayFromScalar(arrow::StringScalar(""), 1));
    ARROW_ASSIGN_OR_RAISE(max, arrow::MakeArrayFromScalar(arrow::StringScalar(kGreatestText), 1));
  } else {
    ARROW_ASSIGN_OR_RAISE(min, arrow::MakeArrayOfNull(type, 1));
    max = min;
  }
  ARROW_ASSIGN_OR_RAISE(const auto yes, arrow::MakeArrayFromScalar(arrow::BooleanScalar(true), 1));
  // 0: not known.
  ARROW_ASSIGN_OR_RAISE(const auto distinct, arrow::MakeArrayFromScalar(arrow::UInt64Scalar(0), 1));
  const auto schema = arrow::schema(
      {arrow::field("min", type), arrow::field("max", type), arrow::field("has_not_null", arrow::boolean()),
       arrow::field("has_null", arrow::boolean()), arrow::field("distinct_count", arrow::uint64())});
  return arrow::RecordBatch::Make(schema, 1, {min, max, yes, yes, distinct});
}

}  // namespace pondpilot::worker::airport
