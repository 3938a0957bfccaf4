#include "worker/airport/filter.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/text.h"
#include "worker/flight/sql_text.h"

namespace pondpilot::worker::airport {
namespace {

using flight::Literal;
using flight::Quoted;
using nlohmann::json;

constexpr int kMaxFilterDepth = 64;
constexpr size_t kMaxListed = 10'000;  // values of an IN

bool IsInteger(std::string_view type) {
  static constexpr std::array<std::string_view, 8> kIntegers = {
      "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"};
  return std::ranges::find(kIntegers, type) != kIntegers.end();
}

// Types whose values compare alike in DuckDB and in the attached database.
bool ComparesAlike(std::string_view type, std::string_view database) {
  if (database == "postgres") {
    return IsInteger(type) || type == "BOOLEAN" || type == "DATE" || type == "TIMESTAMP";
  }
  return database == "mysql" && IsInteger(type);
}

std::string_view TextAt(const json& node, const char* key) {
  if (!node.is_object()) return {};
  const auto found = node.find(key);
  if (found == node.end() || !found->is_string()) return {};
  return found->get_ref<const std::string&>();
}

const json* At(const json& node, const char* key) {
  if (!node.is_object()) return nullptr;
  const auto found = node.find(key);
  return found == node.end() ? nullptr : &*found;
}

// Does the integer fit the type? The text of `value` is decimal.
bool Fits(const json& value, std::string_view type) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    const auto at_most = [number](auto most) { return number <= static_cast<uint64_t>(most); };
    if (type == "TINYINT") return at_most(std::numeric_limits<int8_t>::max());
    if (type == "SMALLINT") return at_most(std::numeric_limits<int16_t>::max());
    if (type == "INTEGER") return at_most(std::numeric_limits<int32_t>::max());
    if (type == "BIGINT") return at_most(std::numeric_limits<int64_t>::max());
    if (type == "UTINYINT") return at_most(std::numeric_limits<uint8_t>::max());
    if (type == "USMALLINT") return at_most(std::numeric_limits<uint16_t>::max());
    if (type == "UINTEGER") return at_most(std::numeric_limits<uint32_t>::max());
    return type == "UBIGINT";
  }
  if (!value.is_number_integer()) return false;
  const auto number = value.get<int64_t>();
  if (type == "TINYINT") return number >= std::numeric_limits<int8_t>::min();
  if (type == "SMALLINT") return number >= std::numeric_limits<int16_t>::min();
  if (type == "INTEGER") return number >= std::numeric_limits<int32_t>::min();
  return type == "BIGINT";
}

std::string NumberText(double number) {
  std::array<char, 64> text{};
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::scientific);
  return error == std::errc() ? std::string(text.data(), end) : std::string();
}

// The SQL of a value of the type; nullopt where its JSON form leaves a doubt. Functions are named in full,
// and no operator but comparisons is used: users may have macros of such names.
std::optional<std::string> ValueSql(const json& value, std::string_view type) {
  // Beyond are DuckDB's infinities, and what can't be computed.
  constexpr int64_t kMaxDays = 100'000'000;
  constexpr int64_t kMaxMicros = 9'000'000'000'000'000'000;
  const auto within = [&](int64_t most) {
    return value.is_number_integer() && Fits(value, "BIGINT") && value.get<int64_t>() <= most &&
           value.get<int64_t>() >= -most;
  };
  if (IsInteger(type)) {
    if (!Fits(value, type)) return std::nullopt;
    return "CAST(" + value.dump() + " AS " + std::string(type) + ")";
  }
  if (type == "BOOLEAN") {
    if (!value.is_boolean()) return std::nullopt;
    return value.get<bool>() ? "true" : "false";
  }
  if (type == "DOUBLE" || type == "FLOAT") {
    if (!value.is_number() || !std::isfinite(value.get<double>())) return std::nullopt;
    const std::string number = "CAST(" + NumberText(value.get<double>()) + " AS DOUBLE)";
    return type == "DOUBLE" ? number : "CAST(" + number + " AS FLOAT)";
  }
  if (type == "DATE" && within(kMaxDays)) return "system.main.make_date(" + value.dump() + ")";
  if (type == "TIMESTAMP" && within(kMaxMicros)) return "system.main.make_timestamp(" + value.dump() + ")";
  if (type == "VARCHAR" && value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.contains('\0') || !base::IsUtf8(text)) return std::nullopt;
    return Literal(text);
  }
  return std::nullopt;
}

class Reader {
 public:
  Reader(const engine::TableDetails& table, bool view, const json& names)
      : table_(table), names_(names), own_(!view && table.kind == "duckdb") {}

  // The SQL of a condition, when all of it is known. `alike` becomes false when only DuckDB can decide it.
  std::optional<std::string> Condition(const json& node, bool& alike, int depth = 0) {
    if (depth > kMaxFilterDepth) return std::nullopt;
    const auto kind = TextAt(node, "expression_class");
    const auto type = TextAt(node, "type");
    if (kind == "BOUND_CONJUNCTION") return Conjunction(node, type, alike, depth);
    if (kind == "BOUND_COMPARISON") return Comparison(node, type, alike);
    if (kind == "BOUND_BETWEEN") return Between(node, type, alike);
    if (kind == "BOUND_OPERATOR") return Operator(node, type, alike, depth);
    return std::nullopt;
  }

 private:
  struct Column {
    std::string sql;
    std::string type;
  };

  std::optional<std::string> Conjunction(const json& node, std::string_view type, bool& alike, int depth) {
    const char* word = type == "CONJUNCTION_AND" ? " AND " : type == "CONJUNCTION_OR" ? " OR " : nullptr;
    const json* children = At(node, "children");
    if (word == nullptr || children == nullptr || !children->is_array() || children->empty())
      return std::nullopt;
    std::string sql;
    for (const json& child : *children) {
      const auto part = Condition(child, alike, depth + 1);
      if (!part) return std::nullopt;
      sql += (sql.empty() ? "(" : word) + *part;
    }
    return sql + ")";
  }

  std::optional<std::string> Comparison(const json& node, std::string_view type, bool& alike) {
    static constexpr std::array<std::pair<std::string_view, const char*>, 8> kOperators = {{
        {"COMPARE_EQUAL", " = "},
        {"COMPARE_NOTEQUAL", " <> "},
        {"COMPARE_LESSTHAN", " < "},
        {"COMPARE_GREATERTHAN", " > "},
        {"COMPARE_LESSTHANOREQUALTO", " <= "},
        {"COMPARE_GREATERTHANOREQUALTO", " >= "},
        {"COMPARE_DISTINCT_FROM", " IS DISTINCT FROM "},
        {"COMPARE_NOT_DISTINCT_FROM", " IS NOT DISTINCT FROM "},
    }};
    const auto* found = std::ranges::find(kOperators, type, &std::pair<std::string_view, const char*>::first);
    const json* left = At(node, "left");
    const json* right = At(node, "right");
    if (found == kOperators.end() || left == nullptr || right == nullptr) return std::nullopt;
    if (const auto column = ColumnAt(*left, alike)) {
      const auto value = ConstantAt(*right, column->type);
      if (!value) return std::nullopt;
      return "(" + column->sql + found->second + *value + ")";
    }
    if (const auto column = ColumnAt(*right, alike)) {
      const auto value = ConstantAt(*left, column->type);
      if (!value) return std::nullopt;
      return "(" + *value + found->second + column->sql + ")";
    }
    return std::nullopt;
  }

  std::optional<std::string> Between(const json& node, std::string_view type, bool& alike) {
    const json* input = At(node, "input");
    const json* lower = At(node, "lower");
    const json* upper = At(node, "upper");
    const json* with_lower = At(node, "lower_inclusive");
    const json* with_upper = At(node, "upper_inclusive");
    if (type != "COMPARE_BETWEEN" || input == nullptr || lower == nullptr || upper == nullptr ||
        with_lower == nullptr || with_upper == nullptr || !with_lower->is_boolean() ||
        !with_upper->is_boolean()) {
      return std::nullopt;
    }
    const auto column = ColumnAt(*input, alike);
    if (!column) return std::nullopt;
    const auto least = ConstantAt(*lower, column->type);
    const auto most = ConstantAt(*upper, column->type);
    if (!least || !most) return std::nullopt;
    return "(" + column->sql + (with_lower->get<bool>() ? " >= " : " > ") + *least + " AND " + column->sql +
           (with_upper->get<bool>() ? " <= " : " < ") + *most + ")";
  }

  std::optional<std::string> Operator(const json& node, std::string_view type, bool& alike, int depth) {
    const json* children = At(node, "children");
    if (children == nullptr || !children->is_array() || children->empty()) return std::nullopt;
    if (type == "OPERATOR_NOT" && children->size() == 1) {
      const auto inner = Condition((*children)[0], alike, depth + 1);
      if (!inner) return std::nullopt;
      return "(NOT " + *inner + ")";
    }
    const auto column = ColumnAt((*children)[0], alike);
    if (!column) return std::nullopt;
    if (children->size() == 1 && type == "OPERATOR_IS_NULL") return "(" + column->sql + " IS NULL)";
    if (children->size() == 1 && type == "OPERATOR_IS_NOT_NULL") return "(" + column->sql + " IS NOT NULL)";
    if (type != "COMPARE_IN" && type != "COMPARE_NOT_IN") return std::nullopt;
    if (children->size() < 2 || children->size() > kMaxListed) return std::nullopt;
    std::string list;
    for (size_t i = 1; i < children->size(); ++i) {
      const auto value = ConstantAt((*children)[i], column->type);
      if (!value) return std::nullopt;
      list += (i == 1 ? "" : ", ") + *value;
    }
    return "(" + column->sql + (type == "COMPARE_IN" ? " IN (" : " NOT IN (") + list + "))";
  }

  // A column that has the same type here and at the client.
  std::optional<Column> ColumnAt(const json& node, bool& alike) {
    if (TextAt(node, "expression_class") != "BOUND_COLUMN_REF") return std::nullopt;
    const json* depth = At(node, "depth");
    if (depth != nullptr && *depth != 0) return std::nullopt;
    const json* binding = At(node, "binding");
    const json* index = binding == nullptr ? nullptr : At(*binding, "column_index");
    if (index == nullptr || !index->is_number_unsigned() || index->get<uint64_t>() >= names_.size())
      return std::nullopt;
    const json& name = names_[index->get<size_t>()];
    const json* type = At(node, "return_type");
    if (!name.is_string() || type == nullptr) return std::nullopt;
    const auto type_id = TextAt(*type, "id");
    const auto& text = name.get_ref<const std::string&>();
    // The client's row identifiers are others than the table's.
    if (text == "rowid" && table_.row_ids) return std::nullopt;
    const auto column = std::ranges::find(table_.columns, text, &engine::ColumnDetails::name);
    if (column == table_.columns.end() || column->type_id != type_id || !column->plain) return std::nullopt;
    if (!own_ && !ComparesAlike(type_id, table_.kind)) alike = false;
    // A session may have set another collation; the client knows of none.
    std::string sql = Quoted(text);
    if (type_id == "VARCHAR") sql = "(" + sql + " COLLATE \"binary\")";
    return Column{.sql = std::move(sql), .type = column->type_id};
  }

  static std::optional<std::string> ConstantAt(const json& node, const std::string& type) {
    if (TextAt(node, "expression_class") != "BOUND_CONSTANT") return std::nullopt;
    const json* value = At(node, "value");
    if (value == nullptr) return std::nullopt;
    const json* value_type = At(*value, "type");
    const json* is_null = At(*value, "is_null");
    const json* content = At(*value, "value");
    if (value_type == nullptr || TextAt(*value_type, "id") != type || content == nullptr ||
        (is_null != nullptr && *is_null != false)) {
      return std::nullopt;
    }
    return ValueSql(*content, type);
  }

  const engine::TableDetails& table_;
  const json& names_;
  const bool own_;
};

// What all of must hold, one by one.
void Flatten(const json& node, std::vector<const json*>& parts, int depth = 0) {
  const json* children = At(node, "children");
  if (depth < kMaxFilterDepth && TextAt(node, "expression_class") == "BOUND_CONJUNCTION" &&
      TextAt(node, "type") == "CONJUNCTION_AND" && children != nullptr && children->is_array()) {
    for (const json& child : *children) Flatten(child, parts, depth + 1);
  } else {
    parts.push_back(&node);
  }
}

}  // namespace

Filter ReadFilter(std::string_view json_filters, const engine::TableDetails& table, bool view) {
  Filter filter;
  const json document = json::parse(json_filters, nullptr, false);
  const json* filters = At(document, "filters");
  const json* names = At(document, "column_binding_names_by_index");
  if (filters == nullptr || names == nullptr || !filters->is_array() || !names->is_array()) return filter;
  std::vector<const json*> parts;
  for (const json& one : *filters) Flatten(one, parts);
  Reader reader(table, view, *names);
  for (const json* part : parts) {
    bool alike = !view;
    const auto sql = reader.Condition(*part, alike);
    if (!sql) continue;
    std::string& all = alike ? filter.direct : filter.here;
    all += (all.empty() ? "" : " AND ") + *sql;
  }
  return filter;
}

}  // namespace pondpilot::worker::airport
