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

// DuckDB's format for those who read its types back.
class LosslessFormat final : public duckdb::ArrowFormat {
 public:
  LosslessFormat() : ArrowFormat(kBatchRows) {}

  duckdb::unique_ptr<duckdb::ResultFormatGlobalState> InitGlobal(
      const duckdb::ResultFormatContext& context) override {
    duckdb::ResultFormatContext lossless = context;
    lossless.client_properties = PropertiesOf(context.client_properties, Types::kDuckDb);
    return ArrowFormat::InitGlobal(lossless);
  }
};

}  // namespace

duckdb::ClientProperties PropertiesOf(duckdb::ClientProperties session, Types types) {
  if (types == Types::kCommon) return session;
  duckdb::ClientProperties lossless;
  lossless.arrow_lossless_conversion = true;
  lossless.client_context = session.client_context;
  return lossless;
}

duckdb::shared_ptr<duckdb::ResultFormat> FormatOf(Types types) {
  if (types == Types::kDuckDb) return duckdb::make_shared_ptr<LosslessFormat>();
  return duckdb::make_shared_ptr<duckdb::ArrowFormat>(kBatchRows);
}

Result<std::shared_ptr<arrow::Schema>> OutgoingSchema(duckdb::ClientContext& context,
                                                      duckdb::vector<LogicalType> types,
                                                      const duckdb::vector<duckdb::Identifier>& names,
                                                      Types types_wanted) {
  for (LogicalType& type : types) {
    if (IsOpen(type)) type = LogicalType::VARCHAR;
  }
  duckdb::ArrowSchemaWrapper exported;
  auto properties = PropertiesOf(context.GetClientProperties(), types_wanted);
  duckdb::ArrowConverter::ToArrowSchema(&exported.arrow_schema, types, duckdb::IdentifiersToStrings(names),
                                        properties);
  auto schema = arrow::ImportSchema(&exported.arrow_schema);
  if (!schema.ok()) {
    return Fail(ErrorCode::kInternal,
                "The columns can't be represented in Arrow: " + schema.status().message());
  }
  return ClientSchema(*schema, types, types_wanted);
}

Result<std::shared_ptr<arrow::Schema>> DescribedSchema(duckdb::ClientContext& context,
                                                       const duckdb::vector<LogicalType>& types,
                                                       const duckdb::vector<duckdb::Identifier>& names,
                                                       Types types_wanted) {
  auto schema = OutgoingSchema(context, types, names, types_wanted);
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
