#pragma once

#include <memory>
#include <string>

namespace arrow {
class Array;
class DataType;
class Field;
}  // namespace arrow

namespace pondpilot::worker::documents {

// Writes the values of one column as JSON and as plain text. docs/http-api.md says how each type looks.
class ValueWriter {
 public:
  virtual ~ValueWriter() = default;

  // From now on rows are those of `array`, which is of the type that the writer was made for.
  virtual void Bind(const std::shared_ptr<arrow::Array>& array) = 0;
  virtual bool IsNull(int64_t row) const = 0;

  // Appends the value of a row that is not NULL, as JSON.
  virtual void Json(int64_t row, std::string& out) const = 0;
  // The same as text that stands for itself: a string without quotes and escapes, a nested value as its JSON.
  virtual void Text(int64_t row, std::string& out) const { Json(row, out); }

  void JsonOrNull(int64_t row, std::string& out) const {
    if (IsNull(row)) {
      out += "null";
    } else {
      Json(row, out);
    }
  }
};

// `all_numbers`: numbers beyond what a double keeps are JSON numbers too; otherwise strings.
std::unique_ptr<ValueWriter> MakeValueWriter(const arrow::DataType& type, bool all_numbers);

// Appends `text` as a JSON string. Bytes that are not UTF-8 become U+FFFD.
void AppendJsonString(std::string_view text, std::string& out);

// The type of a column as SQL writes it: "BIGINT", "DECIMAL(10,2)", "STRUCT(a INTEGER)".
std::string SqlTypeName(const arrow::Field& field);

}  // namespace pondpilot::worker::documents
