#include "worker/engine/arrow_types.h"

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <vector>

namespace pondpilot::worker::engine {
namespace {

std::shared_ptr<arrow::Field> FieldWithoutDictionaries(const std::shared_ptr<arrow::Field>& field) {
  const auto type = WithoutDictionaries(field->type());
  return type == field->type() ? field : field->WithType(type);
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

arrow::Result<std::shared_ptr<arrow::ArrayData>> ArrayWithoutDictionaries(
    const std::shared_ptr<arrow::ArrayData>& data, const std::shared_ptr<arrow::DataType>& type) {
  if (data->type == type) return data;
  if (data->type->id() == arrow::Type::DICTIONARY) {
    ARROW_ASSIGN_OR_RAISE(const auto decoded, Decode(arrow::DictionaryArray(data)));
    return decoded->data();
  }
  auto out = data->Copy();
  out->type = type;
  for (size_t i = 0; i < out->child_data.size(); ++i) {
    ARROW_ASSIGN_OR_RAISE(
        out->child_data[i],
        ArrayWithoutDictionaries(data->child_data[i], type->field(static_cast<int>(i))->type()));
  }
  return out;
}

}  // namespace

std::shared_ptr<arrow::DataType> WithoutDictionaries(const std::shared_ptr<arrow::DataType>& type) {
  if (type->id() == arrow::Type::DICTIONARY) return arrow::utf8();
  if (type->num_fields() == 0) return type;
  std::vector<std::shared_ptr<arrow::Field>> fields;
  bool changed = false;
  for (const auto& field : type->fields()) {
    fields.push_back(FieldWithoutDictionaries(field));
    changed = changed || fields.back() != field;
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

std::shared_ptr<arrow::Schema> WithoutDictionaries(const std::shared_ptr<arrow::Schema>& schema) {
  std::vector<std::shared_ptr<arrow::Field>> fields;
  fields.reserve(static_cast<size_t>(schema->num_fields()));
  for (const auto& field : schema->fields()) fields.push_back(FieldWithoutDictionaries(field));
  return arrow::schema(std::move(fields), schema->metadata());
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> WithoutDictionaries(
    const std::shared_ptr<arrow::RecordBatch>& batch, const std::shared_ptr<arrow::Schema>& schema) {
  std::vector<std::shared_ptr<arrow::ArrayData>> columns;
  columns.reserve(static_cast<size_t>(batch->num_columns()));
  for (int i = 0; i < batch->num_columns(); ++i) {
    ARROW_ASSIGN_OR_RAISE(auto column,
                          ArrayWithoutDictionaries(batch->column_data(i), schema->field(i)->type()));
    columns.push_back(std::move(column));
  }
  return arrow::RecordBatch::Make(schema, batch->num_rows(), std::move(columns));
}

}  // namespace pondpilot::worker::engine
