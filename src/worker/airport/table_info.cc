#include "worker/airport/table_info.h"

#include <arrow/type.h>
#include <arrow/util/compression.h>
#include <arrow/util/key_value_metadata.h>

#include <string_view>

#include "base/secret.h"

namespace pondpilot::worker::airport {
namespace {

namespace fl = arrow::flight;

// Schemas are compressed once and read once.
constexpr int kZstdLevel = 3;

std::shared_ptr<arrow::Field> FieldOf(const std::shared_ptr<arrow::Field>& field,
                                      const engine::ColumnDetails& column) {
  std::vector<std::string> keys;
  std::vector<std::string> values;
  const auto add = [&](const char* key, const std::string& value) {
    if (value.empty()) return;
    keys.emplace_back(key);
    values.push_back(value);
  };
  add("comment", column.comment);
  add("default", column.default_value);
  if (keys.empty()) return field;
  return field->WithMergedMetadata(arrow::KeyValueMetadata::Make(keys, values));
}

// nil for nothing.
Message OrNil(const std::string& text) { return text.empty() ? Message(nullptr) : Message(text); }

}  // namespace

std::shared_ptr<arrow::Schema> SchemaOf(const engine::CatalogEntry& entry) {
  if (entry.columns == nullptr || !entry.details) return nullptr;
  const engine::TableDetails& details = *entry.details;
  arrow::FieldVector fields;
  for (int i = 0; i < entry.columns->num_fields(); ++i) {
    const auto& field = entry.columns->field(i);
    const auto at = static_cast<size_t>(i);
    fields.push_back(at < details.columns.size() ? FieldOf(field, details.columns[at]) : field);
  }
  if (details.row_ids) {
    fields.push_back(
        arrow::field(kRowId, arrow::int64(), true, arrow::KeyValueMetadata::Make({"is_rowid"}, {"1"})));
  }
  // Without can_produce_statistics: see statistics.h.
  return arrow::schema(std::move(fields));
}

fl::FlightDescriptor DescriptorOf(const engine::CatalogEntry& entry) {
  return fl::FlightDescriptor::Path({entry.catalog, entry.schema, entry.name});
}

arrow::Result<engine::TableName> TableOf(const fl::FlightDescriptor& descriptor) {
  if (descriptor.type != fl::FlightDescriptor::PATH || descriptor.path.size() != 3) {
    return arrow::Status::Invalid(
        "The descriptor is no path of a database, a schema and a table. Use those that list_schemas gives.");
  }
  return engine::TableName{descriptor.path[0], descriptor.path[1], descriptor.path[2]};
}

arrow::Result<fl::FlightInfo> InfoOf(const engine::CatalogEntry& entry, const std::string& catalog,
                                     const std::string& schema) {
  const Message metadata = {{"type", "table"},
                            {"schema", schema},
                            {"catalog", catalog},
                            {"name", entry.name},
                            {"comment", OrNil(entry.details->comment)},
                            {"input_schema", nullptr},
                            {"action_name", nullptr},
                            {"description", nullptr},
                            {"extra_data", nullptr}};
  const int64_t rows = entry.details->rows ? static_cast<int64_t>(*entry.details->rows) : -1;
  return fl::FlightInfo::Make(*SchemaOf(entry), DescriptorOf(entry), {}, rows, -1, false, Pack(metadata));
}

std::string Fingerprint(const engine::CatalogEntry& entry) {
  std::string text = entry.catalog;
  const auto add = [&text](std::string_view part) { text.append(1, '\0').append(part); };
  add(entry.schema);
  add(entry.name);
  add(entry.is_view ? "view" : "table");
  if (entry.details) {
    add(entry.details->comment);
    add(entry.details->row_ids ? "rows" : "");
    for (const auto& column : entry.details->columns) {
      add(column.name);
      add(column.type);
      add(column.comment);
      add(column.default_value);
    }
  }
  if (entry.columns != nullptr) {
    for (const auto& field : entry.columns->fields()) add(field->nullable() ? "n" : "");
  }
  text.append(2, '\0');
  return text;
}

arrow::Result<Message> ContentsOf(const std::vector<fl::FlightInfo>& infos) {
  Message list = Message::array();
  for (const fl::FlightInfo& info : infos) {
    ARROW_ASSIGN_OR_RAISE(const std::string bytes, info.SerializeToString());
    list.push_back(Binary(bytes));
  }
  ARROW_ASSIGN_OR_RAISE(const std::string serialized, Compress(list));
  return Message{
      {"sha256", base::Sha256Hex(serialized)}, {"url", nullptr}, {"serialized", Binary(serialized)}};
}

arrow::Result<std::string> Compress(const Message& message) {
  const std::string bytes = Pack(message);
  if (bytes.size() > UINT32_MAX) return arrow::Status::Invalid("The catalog is larger than 4 GiB.");
  ARROW_ASSIGN_OR_RAISE(const auto codec, arrow::util::Codec::Create(arrow::Compression::ZSTD, kZstdLevel));
  const auto* input = reinterpret_cast<const uint8_t*>(bytes.data());
  const auto size = static_cast<int64_t>(bytes.size());
  std::string out(static_cast<size_t>(codec->MaxCompressedLen(size, input)), '\0');
  ARROW_ASSIGN_OR_RAISE(const int64_t used, codec->Compress(size, input, static_cast<int64_t>(out.size()),
                                                            reinterpret_cast<uint8_t*>(out.data())));
  out.resize(static_cast<size_t>(used));
  return Pack(Message::array({static_cast<uint32_t>(bytes.size()), Binary(out)}));
}

}  // namespace pondpilot::worker::airport
