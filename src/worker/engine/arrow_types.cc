#include "worker/engine/arrow_types.h"

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <arrow/util/decimal.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pondpilot::worker::engine {
namespace {

using duckdb::LogicalType;
using duckdb::LogicalTypeId;

// The parts of a nested type, in the order of the fields of its Arrow type; empty for others. Of a map it is
// the one struct of its entries, as in Arrow.
std::vector<LogicalType> Parts(const LogicalType& type) {
  std::vector<LogicalType> parts;
  switch (type.id()) {
    case LogicalTypeId::LIST:
      parts.push_back(duckdb::ListType::GetChildType(type));
      break;
    case LogicalTypeId::ARRAY:
      parts.push_back(duckdb::ArrayType::GetChildType(type));
      break;
    case LogicalTypeId::MAP:
      parts.push_back(duckdb::ListType::GetChildType(type));
      break;
    case LogicalTypeId::STRUCT:
      for (const auto& [name, part] : duckdb::StructType::GetChildTypes(type)) parts.push_back(part);
      break;
    case LogicalTypeId::UNION:
      for (duckdb::idx_t i = 0; i < duckdb::UnionType::GetMemberCount(type); ++i)
        parts.push_back(duckdb::UnionType::GetMemberType(type, i));
      break;
    default:
      break;
  }
  return parts;
}

template <typename Words>
arrow::Result<std::shared_ptr<arrow::Array>> DecodeWords(const arrow::DictionaryArray& array,
                                                         const Words& words) {
  // The default pool reserves address space of its own, which counts against the limit on the data segment.
  arrow::StringBuilder builder(arrow::system_memory_pool());
  ARROW_RETURN_NOT_OK(builder.Reserve(array.length()));
  for (int64_t i = 0; i < array.length(); ++i) {
    if (array.IsNull(i)) {
      ARROW_RETURN_NOT_OK(builder.AppendNull());
    } else {
      ARROW_RETURN_NOT_OK(builder.Append(words.GetView(array.GetValueIndex(i))));
    }
  }
  return builder.Finish();
}

arrow::Result<std::shared_ptr<arrow::Array>> Decode(const arrow::DictionaryArray& array) {
  // Which text type depends on settings that a client may change.
  switch (array.dictionary()->type_id()) {
    case arrow::Type::STRING:
      return DecodeWords(array, static_cast<const arrow::StringArray&>(*array.dictionary()));
    case arrow::Type::LARGE_STRING:
      return DecodeWords(array, static_cast<const arrow::LargeStringArray&>(*array.dictionary()));
    case arrow::Type::STRING_VIEW:
      return DecodeWords(array, static_cast<const arrow::StringViewArray&>(*array.dictionary()));
    default:
      return arrow::Status::NotImplemented("a dictionary of ", array.dictionary()->type()->ToString());
  }
}

// As DuckDB keeps a BIT: the number of bits of the next byte that are none, then the bytes.
template <typename Bytes>
arrow::Result<std::shared_ptr<arrow::ArrayData>> DecodeBits(const Bytes& array) {
  arrow::StringBuilder builder(arrow::system_memory_pool());
  ARROW_RETURN_NOT_OK(builder.Reserve(array.length()));
  std::string text;
  for (int64_t i = 0; i < array.length(); ++i) {
    if (array.IsNull(i)) {
      ARROW_RETURN_NOT_OK(builder.AppendNull());
      continue;
    }
    const std::string_view bytes = array.GetView(i);
    const size_t none = bytes.empty() ? 0 : static_cast<unsigned char>(bytes[0]);
    text.clear();
    for (size_t bit = none; bit < (bytes.size() - 1) * 8 && !bytes.empty(); ++bit) {
      const auto byte = static_cast<unsigned char>(bytes[1 + bit / 8]);
      text += (byte >> (7 - bit % 8) & 1) != 0 ? '1' : '0';
    }
    ARROW_RETURN_NOT_OK(builder.Append(text));
  }
  ARROW_ASSIGN_OR_RAISE(const auto decoded, builder.Finish());
  return decoded->data();
}

arrow::Result<std::shared_ptr<arrow::ArrayData>> ArrayForClient(
    const std::shared_ptr<arrow::ArrayData>& data, const std::shared_ptr<arrow::DataType>& type) {
  if (data->type == type) return data;
  if (data->type->id() == arrow::Type::DICTIONARY) {
    ARROW_ASSIGN_OR_RAISE(const auto decoded, Decode(arrow::DictionaryArray(data)));
    return decoded->data();
  }
  if (type->id() == arrow::Type::STRING) {
    switch (data->type->id()) {
      case arrow::Type::BINARY:
        return DecodeBits(arrow::BinaryArray(data));
      case arrow::Type::LARGE_BINARY:
        return DecodeBits(arrow::LargeBinaryArray(data));
      case arrow::Type::BINARY_VIEW:
        return DecodeBits(arrow::BinaryViewArray(data));
      default:
        return arrow::Status::NotImplemented("a BIT as ", data->type->ToString());
    }
  }
  auto out = data->Copy();
  out->type = type;
  for (size_t i = 0; i < out->child_data.size(); ++i) {
    ARROW_ASSIGN_OR_RAISE(out->child_data[i],
                          ArrayForClient(data->child_data[i], type->field(static_cast<int>(i))->type()));
  }
  return out;
}

std::shared_ptr<arrow::DataType> ClientType(const std::shared_ptr<arrow::DataType>& type,
                                            const LogicalType& logical, Types wanted) {
  const bool bit_as_text = logical.id() == LogicalTypeId::BIT && wanted == Types::kCommon;
  if (type->id() == arrow::Type::DICTIONARY || bit_as_text) return arrow::utf8();
  const auto parts = Parts(logical);
  if (type->num_fields() == 0 || std::cmp_not_equal(parts.size(), type->num_fields())) return type;
  std::vector<std::shared_ptr<arrow::Field>> fields;
  bool changed = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& field = type->field(static_cast<int>(i));
    const auto part = ClientType(field->type(), parts[i], wanted);
    changed = changed || part != field->type();
    fields.push_back(part == field->type() ? field : field->WithType(part));
  }
  if (!changed) return type;
  switch (type->id()) {
    case arrow::Type::LIST:
      return arrow::list(fields[0]);
    case arrow::Type::LARGE_LIST:
      return arrow::large_list(fields[0]);
    case arrow::Type::FIXED_SIZE_LIST:
      return arrow::fixed_size_list(fields[0],
                                    static_cast<const arrow::FixedSizeListType&>(*type).list_size());
    case arrow::Type::STRUCT:
      return arrow::struct_(fields);
    case arrow::Type::MAP:
      return std::make_shared<arrow::MapType>(fields[0],
                                              static_cast<const arrow::MapType&>(*type).keys_sorted());
    case arrow::Type::DENSE_UNION:
      return arrow::dense_union(fields, static_cast<const arrow::UnionType&>(*type).type_codes());
    case arrow::Type::SPARSE_UNION:
      return arrow::sparse_union(fields, static_cast<const arrow::UnionType&>(*type).type_codes());
    default:
      return type;
  }
}

bool Contains(const LogicalType& type, LogicalTypeId id) {
  return duckdb::TypeVisitor::Contains(type, [id](const LogicalType& part) { return part.id() == id; });
}

arrow::Status CheckRange(const arrow::ArrayData& data, const LogicalType& type) {
  if (type.id() == LogicalTypeId::UHUGEINT && data.type->id() == arrow::Type::DECIMAL128) {
    const arrow::Decimal128Array array(data.Copy());
    for (int64_t i = 0; i < array.length(); ++i) {
      if (array.IsNull(i) || arrow::Decimal128(array.GetValue(i)).high_bits() >= 0) continue;
      return arrow::Status::Invalid(
          "Conversion Error: a UHUGEINT of the result is larger than the largest decimal that goes to "
          "clients "
          "(2^127 - 1). Cast the column to VARCHAR or DOUBLE.");
    }
    return arrow::Status::OK();
  }
  const auto parts = Parts(type);
  if (parts.size() != data.child_data.size()) return arrow::Status::OK();
  for (size_t i = 0; i < parts.size(); ++i) ARROW_RETURN_NOT_OK(CheckRange(*data.child_data[i], parts[i]));
  return arrow::Status::OK();
}

}  // namespace

std::shared_ptr<arrow::Schema> ClientSchema(const std::shared_ptr<arrow::Schema>& native,
                                            const duckdb::vector<LogicalType>& types, Types types_wanted) {
  std::vector<std::shared_ptr<arrow::Field>> fields;
  fields.reserve(types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    const auto& field = native->field(static_cast<int>(i));
    const auto type = ClientType(field->type(), types[i], types_wanted);
    fields.push_back(type == field->type() ? field : field->WithType(type));
  }
  return arrow::schema(std::move(fields), native->metadata());
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> ForClient(const std::shared_ptr<arrow::RecordBatch>& batch,
                                                             const std::shared_ptr<arrow::Schema>& schema) {
  std::vector<std::shared_ptr<arrow::ArrayData>> columns;
  columns.reserve(static_cast<size_t>(batch->num_columns()));
  for (int i = 0; i < batch->num_columns(); ++i) {
    ARROW_ASSIGN_OR_RAISE(auto column, ArrayForClient(batch->column_data(i), schema->field(i)->type()));
    columns.push_back(std::move(column));
  }
  return arrow::RecordBatch::Make(schema, batch->num_rows(), std::move(columns));
}

bool NeedRangeCheck(const duckdb::vector<LogicalType>& types) {
  return std::ranges::any_of(types,
                             [](const LogicalType& type) { return Contains(type, LogicalTypeId::UHUGEINT); });
}

arrow::Status CheckRange(const arrow::RecordBatch& batch, const duckdb::vector<LogicalType>& types) {
  for (size_t i = 0; i < types.size(); ++i) {
    if (!Contains(types[i], LogicalTypeId::UHUGEINT)) continue;
    ARROW_RETURN_NOT_OK(CheckRange(*batch.column_data(static_cast<int>(i)), types[i]));
  }
  return arrow::Status::OK();
}

}  // namespace pondpilot::worker::engine
