#include "worker/documents/value_writer.h"

#include <arrow/array.h>
#include <arrow/extension_type.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <arrow/util/base64.h>
#include <arrow/util/decimal.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "worker/documents/times.h"

namespace pondpilot::worker::documents {
namespace {

using Row = int64_t;
using ArrayPointer = std::shared_ptr<arrow::Array>;

// What a double, and so every JSON reader, keeps exactly.
constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;
constexpr size_t kSafeDigits = 15;

template <typename Array>
class Typed : public ValueWriter {
 public:
  void Bind(const ArrayPointer& array) override { array_ = std::static_pointer_cast<Array>(array); }
  bool IsNull(Row row) const override { return array_->IsNull(row); }

 protected:
  const Array& array() const { return *array_; }

 private:
  std::shared_ptr<Array> array_;
};

// A value whose text needs no escapes, in quotes in JSON.
template <typename Array>
class Quoted : public Typed<Array> {
 public:
  void Json(Row row, std::string& out) const override {
    out += '"';
    this->Text(row, out);
    out += '"';
  }
  void Text(Row row, std::string& out) const override = 0;
};

class NullWriter final : public Typed<arrow::NullArray> {
 public:
  bool IsNull(Row) const override { return true; }
  void Json(Row, std::string& out) const override { out += "null"; }
};

class BooleanWriter final : public Typed<arrow::BooleanArray> {
 public:
  void Json(Row row, std::string& out) const override { out += array().Value(row) ? "true" : "false"; }
};

template <typename Array>
class IntegerWriter final : public Typed<Array> {
 public:
  explicit IntegerWriter(bool all_numbers) : all_numbers_(all_numbers) {}
  void Json(Row row, std::string& out) const override {
    const auto value = this->array().Value(row);
    const bool safe = all_numbers_ || (std::cmp_less_equal(value, kMaxSafeInteger) &&
                                       std::cmp_greater_equal(value, -kMaxSafeInteger));
    if (!safe) out += '"';
    Text(row, out);
    if (!safe) out += '"';
  }
  void Text(Row row, std::string& out) const override {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.begin(), digits.end(), this->array().Value(row));
    out.append(digits.data(), end.ptr);
  }

 private:
  bool all_numbers_;
};

template <typename Array>
class FloatWriter final : public Typed<Array> {
 public:
  void Json(Row row, std::string& out) const override {
    const bool finite = std::isfinite(this->array().Value(row));
    if (!finite) out += '"';
    Text(row, out);
    if (!finite) out += '"';
  }
  void Text(Row row, std::string& out) const override {
    const auto value = this->array().Value(row);
    if (std::isnan(value)) {
      out += "NaN";
    } else if (std::isinf(value)) {
      out += value < 0 ? "-Infinity" : "Infinity";
    } else {
      std::array<char, 32> digits;
      const auto end = std::to_chars(digits.begin(), digits.end(), value);
      out.append(digits.data(), end.ptr);
    }
  }
};

template <typename Array, typename Decimal>
class DecimalWriter final : public Typed<Array> {
 public:
  DecimalWriter(int32_t scale, bool all_numbers)
      : scale_(static_cast<size_t>(std::max(scale, 0))), all_numbers_(all_numbers) {}
  void Json(Row row, std::string& out) const override {
    const std::string digits = Digits(row);
    const bool safe = all_numbers_ || IsSafe(digits);
    if (!safe) out += '"';
    Append(digits, out);
    if (!safe) out += '"';
  }
  void Text(Row row, std::string& out) const override { Append(Digits(row), out); }

 private:
  std::string Digits(Row row) const { return Decimal(this->array().GetValue(row)).ToIntegerString(); }
  bool IsSafe(std::string_view digits) const {
    if (digits.starts_with('-')) digits.remove_prefix(1);
    if (digits.size() <= kSafeDigits) return true;
    int64_t value = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return scale_ == 0 && end.ec == std::errc() && value <= kMaxSafeInteger;
  }
  void Append(std::string_view digits, std::string& out) const {
    if (digits.starts_with('-')) {
      out += '-';
      digits.remove_prefix(1);
    }
    if (scale_ == 0) {
      out += digits;
      return;
    }
    if (digits.size() <= scale_) {
      out += "0.";
      out.append(scale_ - digits.size(), '0');
      out += digits;
      return;
    }
    out += digits.substr(0, digits.size() - scale_);
    out += '.';
    out += digits.substr(digits.size() - scale_);
  }

  size_t scale_;
  bool all_numbers_;
};

template <typename Array>
class TextWriter final : public Typed<Array> {
 public:
  void Json(Row row, std::string& out) const override { AppendJsonString(this->array().GetView(row), out); }
  void Text(Row row, std::string& out) const override { out += this->array().GetView(row); }
};

template <typename Array>
class BinaryWriter final : public Quoted<Array> {
 public:
  void Text(Row row, std::string& out) const override {
    out += arrow::util::base64_encode(std::string_view(this->array().GetView(row)));
  }
};

class UuidWriter final : public Quoted<arrow::FixedSizeBinaryArray> {
 public:
  void Text(Row row, std::string& out) const override {
    constexpr char kHex[] = "0123456789abcdef";
    const std::string_view bytes = array().GetView(row);
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
      const auto byte = static_cast<unsigned char>(bytes[i]);
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
};

// DuckDB's infinities are the outermost values.
template <typename Number>
bool AppendInfinity(Number value, std::string& out) {
  constexpr Number kMost = std::numeric_limits<Number>::max();
  if (value != kMost && value != -kMost) return false;
  out += value < 0 ? "-infinity" : "infinity";
  return true;
}

class Date32Writer final : public Quoted<arrow::Date32Array> {
 public:
  void Text(Row row, std::string& out) const override {
    if (!AppendInfinity(array().Value(row), out)) AppendDate(array().Value(row), out);
  }
};

int64_t TicksPerSecond(arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return 1;
    case arrow::TimeUnit::MILLI:
      return 1'000;
    case arrow::TimeUnit::MICRO:
      return 1'000'000;
    case arrow::TimeUnit::NANO:
      return 1'000'000'000;
  }
  return 1;
}

template <typename Array>
class TimeWriter final : public Quoted<Array> {
 public:
  explicit TimeWriter(arrow::TimeUnit::type unit) : per_second_(TicksPerSecond(unit)) {}
  void Text(Row row, std::string& out) const override {
    AppendTime(this->array().Value(row), per_second_, out);
  }

 private:
  int64_t per_second_;
};

class TimestampWriter final : public Quoted<arrow::TimestampArray> {
 public:
  explicit TimestampWriter(const arrow::TimestampType& type)
      : per_second_(TicksPerSecond(type.unit())), zoned_(!type.timezone().empty()) {}
  void Text(Row row, std::string& out) const override {
    const int64_t ticks = array().Value(row);
    if (AppendInfinity(ticks, out)) return;
    AppendTimestamp(ticks, per_second_, out);
    if (zoned_) out += 'Z';
  }

 private:
  int64_t per_second_;
  bool zoned_;
};

class IntervalWriter final : public Quoted<arrow::MonthDayNanoIntervalArray> {
 public:
  void Text(Row row, std::string& out) const override {
    const auto value = array().GetValue(row);
    AppendInterval(value.months, value.days, value.nanoseconds, out);
  }
};

// LIST, ARRAY and their like: all that differs is where a row's elements stand.
template <typename Array>
class ListWriter final : public Typed<Array> {
 public:
  explicit ListWriter(std::unique_ptr<ValueWriter> element) : element_(std::move(element)) {}
  void Bind(const ArrayPointer& array) override {
    Typed<Array>::Bind(array);
    element_->Bind(this->array().values());
  }
  void Json(Row row, std::string& out) const override {
    const int64_t from = this->array().value_offset(row);
    const int64_t length = this->array().value_length(row);
    out += '[';
    for (int64_t i = 0; i < length; ++i) {
      if (i > 0) out += ',';
      element_->JsonOrNull(from + i, out);
    }
    out += ']';
  }

 private:
  std::unique_ptr<ValueWriter> element_;
};

// An object where the keys are texts, else a list of {"key", "value"}.
class MapWriter final : public Typed<arrow::MapArray> {
 public:
  MapWriter(std::unique_ptr<ValueWriter> key, std::unique_ptr<ValueWriter> value, bool text_keys)
      : key_(std::move(key)), value_(std::move(value)), text_keys_(text_keys) {}
  void Bind(const ArrayPointer& array) override {
    Typed::Bind(array);
    key_->Bind(this->array().keys());
    value_->Bind(this->array().items());
  }
  void Json(Row row, std::string& out) const override {
    const int64_t from = array().value_offset(row);
    const int64_t to = from + array().value_length(row);
    out += text_keys_ ? '{' : '[';
    for (int64_t i = from; i < to; ++i) {
      if (i > from) out += ',';
      if (!text_keys_) out += R"({"key":)";
      key_->JsonOrNull(i, out);
      out += text_keys_ ? ":" : R"(,"value":)";
      value_->JsonOrNull(i, out);
      if (!text_keys_) out += '}';
    }
    out += text_keys_ ? '}' : ']';
  }

 private:
  std::unique_ptr<ValueWriter> key_;
  std::unique_ptr<ValueWriter> value_;
  bool text_keys_;
};

struct Member {
  std::string key;  // a JSON string and a colon
  std::unique_ptr<ValueWriter> writer;
};

std::vector<Member> MembersOf(const arrow::DataType& type, bool all_numbers) {
  std::vector<Member> members;
  for (const auto& field : type.fields()) {
    Member& member = members.emplace_back();
    AppendJsonString(field->name(), member.key);
    member.key += ':';
    member.writer = MakeValueWriter(*field->type(), all_numbers);
  }
  return members;
}

class StructWriter final : public Typed<arrow::StructArray> {
 public:
  explicit StructWriter(std::vector<Member> members) : members_(std::move(members)) {}
  void Bind(const ArrayPointer& array) override {
    Typed::Bind(array);
    for (size_t i = 0; i < members_.size(); ++i) {
      members_[i].writer->Bind(this->array().field(static_cast<int>(i)));
    }
  }
  void Json(Row row, std::string& out) const override {
    out += '{';
    for (size_t i = 0; i < members_.size(); ++i) {
      if (i > 0) out += ',';
      out += members_[i].key;
      members_[i].writer->JsonOrNull(row, out);
    }
    out += '}';
  }

 private:
  std::vector<Member> members_;
};

// An object with the one member that the value is of.
class UnionWriter final : public Typed<arrow::UnionArray> {
 public:
  explicit UnionWriter(std::vector<Member> members) : members_(std::move(members)) {}
  void Bind(const ArrayPointer& array) override {
    Typed::Bind(array);
    for (size_t i = 0; i < members_.size(); ++i) {
      members_[i].writer->Bind(this->array().field(static_cast<int>(i)));
    }
  }
  bool IsNull(Row row) const override { return Of(row).writer->IsNull(At(row)); }
  void Json(Row row, std::string& out) const override {
    out += '{';
    out += Of(row).key;
    Of(row).writer->JsonOrNull(At(row), out);
    out += '}';
  }

 private:
  const Member& Of(Row row) const { return members_[static_cast<size_t>(array().child_id(row))]; }
  Row At(Row row) const {
    if (array().mode() == arrow::UnionMode::SPARSE) return row;
    return static_cast<const arrow::DenseUnionArray&>(array()).value_offset(row);
  }

  std::vector<Member> members_;
};

class ExtensionWriter final : public Typed<arrow::ExtensionArray> {
 public:
  explicit ExtensionWriter(std::unique_ptr<ValueWriter> storage) : storage_(std::move(storage)) {}
  void Bind(const ArrayPointer& array) override {
    Typed::Bind(array);
    storage_->Bind(this->array().storage());
  }
  void Json(Row row, std::string& out) const override { storage_->Json(row, out); }
  void Text(Row row, std::string& out) const override { storage_->Text(row, out); }

 private:
  std::unique_ptr<ValueWriter> storage_;
};

// What DuckDB does not export today: as Arrow writes it.
class OtherWriter final : public Typed<arrow::Array> {
 public:
  void Json(Row row, std::string& out) const override {
    std::string text;
    Text(row, text);
    AppendJsonString(text, out);
  }
  void Text(Row row, std::string& out) const override {
    const auto cell = array().GetScalar(row);
    if (cell.ok()) out += (*cell)->ToString();
  }
};

bool IsText(const arrow::DataType& type) {
  return type.id() == arrow::Type::STRING || type.id() == arrow::Type::LARGE_STRING ||
         type.id() == arrow::Type::STRING_VIEW;
}

template <typename Writer, typename... Arguments>
std::unique_ptr<ValueWriter> Make(Arguments&&... arguments) {
  return std::make_unique<Writer>(std::forward<Arguments>(arguments)...);
}

std::unique_ptr<ValueWriter> MakeNested(const arrow::DataType& type, bool all_numbers) {
  const auto child = [&](int i) { return MakeValueWriter(*type.field(i)->type(), all_numbers); };
  switch (type.id()) {
    case arrow::Type::LIST:
      return Make<ListWriter<arrow::ListArray>>(child(0));
    case arrow::Type::LARGE_LIST:
      return Make<ListWriter<arrow::LargeListArray>>(child(0));
    case arrow::Type::LIST_VIEW:
      return Make<ListWriter<arrow::ListViewArray>>(child(0));
    case arrow::Type::LARGE_LIST_VIEW:
      return Make<ListWriter<arrow::LargeListViewArray>>(child(0));
    case arrow::Type::FIXED_SIZE_LIST:
      return Make<ListWriter<arrow::FixedSizeListArray>>(child(0));
    case arrow::Type::MAP: {
      const auto& map = static_cast<const arrow::MapType&>(type);
      return Make<MapWriter>(MakeValueWriter(*map.key_type(), all_numbers),
                             MakeValueWriter(*map.item_type(), all_numbers), IsText(*map.key_type()));
    }
    case arrow::Type::STRUCT:
      return Make<StructWriter>(MembersOf(type, all_numbers));
    case arrow::Type::SPARSE_UNION:
    case arrow::Type::DENSE_UNION:
      return Make<UnionWriter>(MembersOf(type, all_numbers));
    default:
      return Make<OtherWriter>();
  }
}

template <typename Array, typename Decimal>
std::unique_ptr<ValueWriter> MakeDecimal(const arrow::DataType& type, bool all_numbers) {
  return Make<DecimalWriter<Array, Decimal>>(static_cast<const arrow::DecimalType&>(type).scale(),
                                             all_numbers);
}

}  // namespace

std::unique_ptr<ValueWriter> MakeValueWriter(const arrow::DataType& type, bool all_numbers) {
  switch (type.id()) {
    case arrow::Type::NA:
      return Make<NullWriter>();
    case arrow::Type::BOOL:
      return Make<BooleanWriter>();
    case arrow::Type::INT8:
      return Make<IntegerWriter<arrow::Int8Array>>(all_numbers);
    case arrow::Type::INT16:
      return Make<IntegerWriter<arrow::Int16Array>>(all_numbers);
    case arrow::Type::INT32:
      return Make<IntegerWriter<arrow::Int32Array>>(all_numbers);
    case arrow::Type::INT64:
      return Make<IntegerWriter<arrow::Int64Array>>(all_numbers);
    case arrow::Type::UINT8:
      return Make<IntegerWriter<arrow::UInt8Array>>(all_numbers);
    case arrow::Type::UINT16:
      return Make<IntegerWriter<arrow::UInt16Array>>(all_numbers);
    case arrow::Type::UINT32:
      return Make<IntegerWriter<arrow::UInt32Array>>(all_numbers);
    case arrow::Type::UINT64:
      return Make<IntegerWriter<arrow::UInt64Array>>(all_numbers);
    case arrow::Type::FLOAT:
      return Make<FloatWriter<arrow::FloatArray>>();
    case arrow::Type::DOUBLE:
      return Make<FloatWriter<arrow::DoubleArray>>();
    case arrow::Type::DECIMAL32:
      return MakeDecimal<arrow::Decimal32Array, arrow::Decimal32>(type, all_numbers);
    case arrow::Type::DECIMAL64:
      return MakeDecimal<arrow::Decimal64Array, arrow::Decimal64>(type, all_numbers);
    case arrow::Type::DECIMAL128:
      return MakeDecimal<arrow::Decimal128Array, arrow::Decimal128>(type, all_numbers);
    case arrow::Type::STRING:
      return Make<TextWriter<arrow::StringArray>>();
    case arrow::Type::LARGE_STRING:
      return Make<TextWriter<arrow::LargeStringArray>>();
    case arrow::Type::STRING_VIEW:
      return Make<TextWriter<arrow::StringViewArray>>();
    case arrow::Type::BINARY:
      return Make<BinaryWriter<arrow::BinaryArray>>();
    case arrow::Type::LARGE_BINARY:
      return Make<BinaryWriter<arrow::LargeBinaryArray>>();
    case arrow::Type::BINARY_VIEW:
      return Make<BinaryWriter<arrow::BinaryViewArray>>();
    case arrow::Type::FIXED_SIZE_BINARY:
      return Make<BinaryWriter<arrow::FixedSizeBinaryArray>>();
    case arrow::Type::DATE32:
      return Make<Date32Writer>();
    case arrow::Type::TIME32:
      return Make<TimeWriter<arrow::Time32Array>>(static_cast<const arrow::TimeType&>(type).unit());
    case arrow::Type::TIME64:
      return Make<TimeWriter<arrow::Time64Array>>(static_cast<const arrow::TimeType&>(type).unit());
    case arrow::Type::TIMESTAMP:
      return Make<TimestampWriter>(static_cast<const arrow::TimestampType&>(type));
    case arrow::Type::INTERVAL_MONTH_DAY_NANO:
      return Make<IntervalWriter>();
    case arrow::Type::EXTENSION: {
      const auto& extension = static_cast<const arrow::ExtensionType&>(type);
      if (extension.extension_name() == "arrow.uuid") return Make<ExtensionWriter>(Make<UuidWriter>());
      return Make<ExtensionWriter>(MakeValueWriter(*extension.storage_type(), all_numbers));
    }
    default:
      return MakeNested(type, all_numbers);
  }
}

}  // namespace pondpilot::worker::documents
