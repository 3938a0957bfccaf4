#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

// For tests: filters as DuckDB writes them.
namespace pondpilot::worker::airport {

using nlohmann::json;

inline json TypeJson(const std::string& id) { return {{"id", id}, {"type_info", nullptr}}; }
inline json ColumnJson(int index, const std::string& type) {
  return {{"expression_class", "BOUND_COLUMN_REF"},
          {"type", "BOUND_COLUMN_REF"},
          {"alias", ""},
          {"return_type", TypeJson(type)},
          {"binding", {{"table_index", 0}, {"column_index", index}}},
          {"depth", 0}};
}
inline json ConstantJson(const std::string& type, const json& value) {
  return {{"expression_class", "BOUND_CONSTANT"},
          {"type", "VALUE_CONSTANT"},
          {"alias", ""},
          {"value", {{"type", TypeJson(type)}, {"is_null", false}, {"value", value}}}};
}
inline json CompareJson(const std::string& type, const json& left, const json& right) {
  return {{"expression_class", "BOUND_COMPARISON"},
          {"type", type},
          {"alias", ""},
          {"left", left},
          {"right", right}};
}
inline json JoinJson(const std::string& type, const std::vector<json>& children) {
  return {{"expression_class", "BOUND_CONJUNCTION"}, {"type", type}, {"alias", ""}, {"children", children}};
}
inline json OperatorJson(const std::string& type, const std::vector<json>& children) {
  return {{"expression_class", "BOUND_OPERATOR"},
          {"type", type},
          {"alias", ""},
          {"return_type", TypeJson("BOOLEAN")},
          {"children", children}};
}
inline json BetweenJson(const json& input, const json& lower, const json& upper, bool with_lower,
                        bool with_upper) {
  return {{"expression_class", "BOUND_BETWEEN"},
          {"type", "COMPARE_BETWEEN"},
          {"alias", ""},
          {"input", input},
          {"lower", lower},
          {"upper", upper},
          {"lower_inclusive", with_lower},
          {"upper_inclusive", with_upper}};
}
inline std::string FiltersJson(const json& filters, const json& names) {
  return json{{"filters", filters}, {"column_binding_names_by_index", names}}.dump();
}

}  // namespace pondpilot::worker::airport
