#include "worker/engine/arrow_schema.h"

#include <arrow/c/bridge.h>
#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>

#include "worker/engine/arrow_types.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;
using duckdb::LogicalType;
using duckdb::LogicalTypeId;

bool IsOpen(const LogicalType& type) {
  return duckdb::TypeVisitor::Contains(type, [](const LogicalType& part) {
    switch (part.id()) {
      case LogicalTypeId::UNKNOWN:
      case LogicalTypeId::INVALID:
      case LogicalTypeId::ANY:
      case LogicalTypeId::UNBOUND:
      case LogicalTypeId::STRING_LITERAL:
      case LogicalTypeId::INTEGER_LITERAL:
        return true;
      default:
        return false;
    }
  });
}

}  // namespace

Result<std::shared_ptr<arrow::Schema>> OutgoingSchema(duckdb::ClientContext& context,
                                                      duckdb::vector<LogicalType> types,
                                                      const duckdb::vector<duckdb::Identifier>& names) {
  for (LogicalType& type : types) {
    if (IsOpen(type)) type = LogicalType::VARCHAR;
  }
  duckdb::ArrowSchemaWrapper exported;
  auto properties = context.GetClientProperties();
  duckdb::ArrowConverter::ToArrowSchema(&exported.arrow_schema, types, duckdb::IdentifiersToStrings(names),
                                        properties);
  auto schema = arrow::ImportSchema(&exported.arrow_schema);
  if (!schema.ok()) {
    return Fail(ErrorCode::kInternal,
                "The columns can't be represented in Arrow: " + schema.status().message());
  }
  return ClientSchema(*schema, types);
}

Result<std::shared_ptr<arrow::Schema>> DescribedSchema(duckdb::ClientContext& context,
                                                       const duckdb::vector<LogicalType>& types,
                                                       const duckdb::vector<duckdb::Identifier>& names) {
  auto schema = OutgoingSchema(context, types, names);
  if (!schema) return schema;
  arrow::FieldVector fields;
  for (size_t i = 0; i < types.size(); ++i) {
    std::vector<std::string> keys{"ARROW:FLIGHT:SQL:TYPE_NAME"};
    std::vector<std::string> values{IsOpen(types[i]) ? "VARCHAR" : types[i].ToString()};
    uint8_t width = 0;
    uint8_t scale = 0;
    if (types[i].IsNumeric() && types[i].GetDecimalProperties(width, scale) &&
        types[i].id() != LogicalTypeId::FLOAT && types[i].id() != LogicalTypeId::DOUBLE) {
      keys.insert(keys.end(), {"ARROW:FLIGHT:SQL:PRECISION", "ARROW:FLIGHT:SQL:SCALE"});
      values.insert(values.end(), {std::to_string(width), std::to_string(scale)});
    }
    auto field = (*schema)->field(static_cast<int>(i));
    fields.push_back(field->WithMergedMetadata(arrow::KeyValueMetadata::Make(keys, values)));
  }
  return arrow::schema(std::move(fields), (*schema)->metadata());
}

}  // namespace pondpilot::worker::engine
