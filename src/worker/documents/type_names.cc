#include <arrow/extension_type.h>
#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>

#include "worker/documents/value_writer.h"

namespace pondpilot::worker::documents {
namespace {

std::string NameOf(const arrow::DataType& type);

std::string InQuotes(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string Members(const arrow::DataType& type) {
  std::string out;
  for (const auto& field : type.fields()) {
    out += (out.empty() ? "(" : ", ") + InQuotes(field->name()) + " " + SqlTypeName(*field);
  }
  return out + ")";
}

std::string Timestamp(const arrow::TimestampType& type) {
  if (!type.timezone().empty()) return "TIMESTAMP WITH TIME ZONE";
  switch (type.unit()) {
    case arrow::TimeUnit::SECOND:
      return "TIMESTAMP_S";
    case arrow::TimeUnit::MILLI:
      return "TIMESTAMP_MS";
    case arrow::TimeUnit::NANO:
      return "TIMESTAMP_NS";
    case arrow::TimeUnit::MICRO:
      break;
  }
  return "TIMESTAMP";
}

std::string Decimal(const arrow::DecimalType& type) {
  // HUGEINT travels as this, and no DECIMAL of DuckDB's is told apart from it.
  if (type.precision() == 38 && type.scale() == 0) return "HUGEINT";
  return "DECIMAL(" + std::to_string(type.precision()) + "," + std::to_string(type.scale()) + ")";
}

std::string NameOf(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::NA:
      return "NULL";
    case arrow::Type::BOOL:
      return "BOOLEAN";
    case arrow::Type::INT8:
      return "TINYINT";
    case arrow::Type::INT16:
      return "SMALLINT";
    case arrow::Type::INT32:
      return "INTEGER";
    case arrow::Type::INT64:
      return "BIGINT";
    case arrow::Type::UINT8:
      return "UTINYINT";
    case arrow::Type::UINT16:
      return "USMALLINT";
    case arrow::Type::UINT32:
      return "UINTEGER";
    case arrow::Type::UINT64:
      return "UBIGINT";
    case arrow::Type::FLOAT:
      return "FLOAT";
    case arrow::Type::DOUBLE:
      return "DOUBLE";
    case arrow::Type::DECIMAL32:
    case arrow::Type::DECIMAL64:
    case arrow::Type::DECIMAL128:
      return Decimal(static_cast<const arrow::DecimalType&>(type));
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      return "VARCHAR";
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::BINARY_VIEW:
    case arrow::Type::FIXED_SIZE_BINARY:
      return "BLOB";
    case arrow::Type::DATE32:
      return "DATE";
    case arrow::Type::TIME32:
    case arrow::Type::TIME64:
      return "TIME";
    case arrow::Type::TIMESTAMP:
      return Timestamp(static_cast<const arrow::TimestampType&>(type));
    case arrow::Type::INTERVAL_MONTH_DAY_NANO:
      return "INTERVAL";
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::LIST_VIEW:
    case arrow::Type::LARGE_LIST_VIEW:
      return SqlTypeName(*type.field(0)) + "[]";
    case arrow::Type::FIXED_SIZE_LIST:
      return SqlTypeName(*type.field(0)) + "[" +
             std::to_string(static_cast<const arrow::FixedSizeListType&>(type).list_size()) + "]";
    case arrow::Type::MAP: {
      const auto& map = static_cast<const arrow::MapType&>(type);
      return "MAP(" + NameOf(*map.key_type()) + ", " + NameOf(*map.item_type()) + ")";
    }
    case arrow::Type::STRUCT:
      return "STRUCT" + Members(type);
    case arrow::Type::SPARSE_UNION:
    case arrow::Type::DENSE_UNION:
      return "UNION" + Members(type);
    default:
      return type.ToString();
  }
}

// What an extension of Arrow's stands for; empty when it is none that has a type of its own.
std::string NameOfExtension(const std::string& extension) {
  if (extension == "arrow.uuid") return "UUID";
  if (extension == "arrow.json") return "JSON";
  return {};
}

}  // namespace

std::string SqlTypeName(const arrow::Field& field) {
  if (field.type()->id() == arrow::Type::EXTENSION) {
    const auto& extension = static_cast<const arrow::ExtensionType&>(*field.type());
    const std::string name = NameOfExtension(extension.extension_name());
    return name.empty() ? NameOf(*extension.storage_type()) : name;
  }
  if (field.metadata() != nullptr) {
    const auto name = NameOfExtension(field.metadata()->Get("ARROW:extension:name").ValueOr(""));
    if (!name.empty()) return name;
  }
  return NameOf(*field.type());
}

}  // namespace pondpilot::worker::documents
