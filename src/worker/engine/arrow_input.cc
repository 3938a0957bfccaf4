#include "worker/engine/arrow_input.h"

#include <arrow/array.h>
#include <arrow/c/bridge.h>
#include <arrow/extension_type.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/timestamps.h"
#include "worker/engine/errors.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

constexpr char kExtensionName[] = "ARROW:extension:name";
constexpr char kExtensionMetadata[] = "ARROW:extension:metadata";

bool IsKept(std::string_view extension) {
  static constexpr std::array<std::string_view, 3> kKept = {"arrow.uuid", "arrow.json", "arrow.bool8"};
  return std::ranges::find(kKept, extension) != kKept.end();
}

std::shared_ptr<arrow::Field> PlainField(const std::shared_ptr<arrow::Field>& field);

// `type` as it is stored, at every depth.
std::shared_ptr<arrow::DataType> PlainType(const std::shared_ptr<arrow::DataType>& type) {
  if (type->id() == arrow::Type::EXTENSION)
    return PlainType(static_cast<const arrow::ExtensionType&>(*type).storage_type());
  if (type->id() == arrow::Type::DICTIONARY) {
    const auto& dictionary = static_cast<const arrow::DictionaryType&>(*type);
    return arrow::dictionary(dictionary.index_type(), PlainType(dictionary.value_type()),
                             dictionary.ordered());
  }
  if (type->num_fields() == 0) return type;
  arrow::FieldVector fields;
  for (const auto& field : type->fields()) fields.push_back(PlainField(field));
  switch (type->id()) {
    case arrow::Type::LIST:
      return arrow::list(fields[0]);
    case arrow::Type::LARGE_LIST:
      return arrow::large_list(fields[0]);
    case arrow::Type::LIST_VIEW:
      return arrow::list_view(fields[0]);
    case arrow::Type::LARGE_LIST_VIEW:
      return arrow::large_list_view(fields[0]);
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
    case arrow::Type::RUN_END_ENCODED:
      return arrow::run_end_encoded(fields[0]->type(), fields[1]->type());
    default:
      return type;
  }
}

// A kept extension goes on as its storage and its name: what Arrow knows of it is of no use here.
std::shared_ptr<arrow::Field> PlainField(const std::shared_ptr<arrow::Field>& field) {
  std::string name;
  if (field->type()->id() == arrow::Type::EXTENSION) {
    name = static_cast<const arrow::ExtensionType&>(*field->type()).extension_name();
  } else if (field->metadata() != nullptr) {
    name = field->metadata()->Get(kExtensionName).ValueOr("");
  }
  auto plain = arrow::field(field->name(), PlainType(field->type()));
  if (!IsKept(name)) return plain;
  return plain->WithMetadata(arrow::KeyValueMetadata::Make({kExtensionName, kExtensionMetadata}, {name, ""}));
}

// The same data under a type that differs in extensions only.
std::shared_ptr<arrow::ArrayData> PlainData(const std::shared_ptr<arrow::ArrayData>& data,
                                            const std::shared_ptr<arrow::DataType>& type) {
  auto out = data->Copy();
  out->type = type;
  if (type->id() == arrow::Type::DICTIONARY) {
    out->dictionary =
        PlainData(data->dictionary, static_cast<const arrow::DictionaryType&>(*type).value_type());
  }
  for (size_t i = 0; i < out->child_data.size(); ++i) {
    out->child_data[i] = PlainData(data->child_data[i], type->field(static_cast<int>(i))->type());
  }
  return out;
}

// A timestamp at any depth that DuckDB can't compute with.
bool HasFarTimestamp(const std::shared_ptr<arrow::ArrayData>& data) {
  if (data->type->id() == arrow::Type::TIMESTAMP) {
    const auto unit = static_cast<const arrow::TimestampType&>(*data->type).unit();
    if (unit != arrow::TimeUnit::SECOND && unit != arrow::TimeUnit::MILLI) return false;
    const int64_t each = unit == arrow::TimeUnit::SECOND ? 1'000'000 : 1'000;
    const arrow::TimestampArray array(data);
    for (int64_t i = 0; i < array.length(); ++i) {
      if (array.IsValid(i) && !base::FitsMicroseconds(array.Value(i), each)) return true;
    }
    return false;
  }
  if (data->dictionary != nullptr && HasFarTimestamp(data->dictionary)) return true;
  return std::ranges::any_of(data->child_data, HasFarTimestamp);
}

std::string Shown(const std::string& column) { return "\"" + column.substr(0, 200) + "\""; }

}  // namespace

Result<std::shared_ptr<arrow::Schema>> AcceptSchema(duckdb::ClientContext& context,
                                                    const std::shared_ptr<arrow::Schema>& sent) {
  arrow::FieldVector fields;
  for (const auto& field : sent->fields()) {
    fields.push_back(PlainField(field));
    const auto one = arrow::schema({fields.back()});
    try {
      ArrowInput probe(context, one);
    } catch (const std::exception& thrown) {
      return Fail(ErrorCode::kInvalidArgument, "The column " + Shown(field->name()) + " has the type " +
                                                   field->type()->ToString() +
                                                   ", which can't be read: " + ToError(thrown).message);
    }
  }
  return arrow::schema(std::move(fields));
}

Result<std::shared_ptr<arrow::RecordBatch>> AcceptBatch(const std::shared_ptr<arrow::RecordBatch>& batch,
                                                        const std::shared_ptr<arrow::Schema>& accepted) {
  if (batch->num_columns() != accepted->num_fields()) {
    return Fail(ErrorCode::kInvalidArgument, "A batch has " + std::to_string(batch->num_columns()) +
                                                 " columns; its schema has " +
                                                 std::to_string(accepted->num_fields()) + ".");
  }
  if (const auto valid = batch->ValidateFull(); !valid.ok()) {
    return Fail(ErrorCode::kInvalidArgument,
                "The Arrow data is damaged: " + valid.message().substr(0, 500) + ".");
  }
  std::vector<std::shared_ptr<arrow::ArrayData>> columns;
  columns.reserve(static_cast<size_t>(batch->num_columns()));
  for (int i = 0; i < batch->num_columns(); ++i) {
    if (HasFarTimestamp(batch->column_data(i))) {
      return Fail(ErrorCode::kInvalidArgument,
                  "The column " + Shown(batch->schema()->field(i)->name()) +
                      " has a timestamp that is too far away: it can't be told in microseconds.");
    }
    columns.push_back(PlainData(batch->column_data(i), accepted->field(i)->type()));
  }
  return arrow::RecordBatch::Make(accepted, batch->num_rows(), std::move(columns));
}

ArrowInput::ArrowInput(duckdb::ClientContext& context, const std::shared_ptr<arrow::Schema>& accepted)
    : context_(context) {
  duckdb::ArrowSchemaWrapper exported;
  if (const auto done = arrow::ExportSchema(*accepted, &exported.arrow_schema); !done.ok())
    throw duckdb::InvalidInputException(done.message());
  duckdb::ArrowTableFunction::PopulateArrowTableSchema(context, table_, exported.arrow_schema);
}

void ArrowInput::Read(const std::shared_ptr<arrow::RecordBatch>& batch, int64_t from,
                      duckdb::DataChunk& chunk) {
  if (exported_ != batch.get()) {
    auto array = duckdb::make_uniq<duckdb::ArrowArrayWrapper>();
    if (const auto done = arrow::ExportRecordBatch(*batch, &array->arrow_array); !done.ok())
      throw duckdb::InvalidInputException(done.message());
    state_ = std::make_unique<duckdb::ArrowScanLocalState>(std::move(array), context_);
    for (duckdb::idx_t i = 0; i < types().size(); ++i) state_->column_ids.push_back(i);
    exported_ = batch.get();
  }
  state_->Reset();
  state_->chunk_offset = static_cast<duckdb::idx_t>(from);
  chunk.Reset();
  chunk.SetChildCardinality(
      std::min<duckdb::idx_t>(STANDARD_VECTOR_SIZE, static_cast<duckdb::idx_t>(batch->num_rows() - from)));
  duckdb::ArrowTableFunction::ArrowToDuckDB(*state_, table_.GetColumns(), chunk, false);
}

}  // namespace pondpilot::worker::engine
