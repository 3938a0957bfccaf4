#include "proxy/ai/catalog_prompt.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "proxy/ai/json_access.h"

namespace pondpilot::proxy::ai {
namespace {

using nlohmann::json;

constexpr std::string_view kHeading =
    "The SQL that you write runs in DuckDB: use its dialect, name tables in full, and put names that are "
    "reserved words in double quotes. These are all the tables and views that the user can query:\n";

bool HasControls(std::string_view name) {
  return std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7F; });
}

// As SQL wants it: names other than plain lower-case ones in quotes.
std::string Quoted(const std::string& name) {
  const bool plain =
      !name.empty() && (name[0] < '0' || name[0] > '9') && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
      });
  if (plain) return name;
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

// The list under `key`, or none: a document of another shape shows less, and breaks nothing.
const json& ArrayAt(const json& object, const char* key) {
  static const json kNone = json::array();
  const auto found = object.find(key);  // of what is no object: its end
  return found != object.end() && found->is_array() ? *found : kNone;
}

// "schema.table (column TYPE, …)"; nullopt when it can't be shown.
std::optional<std::string> TableLine(const std::string& prefix, const json& table) {
  const std::string name = TextAt(table, "/name");
  if (HasControls(name)) return std::nullopt;
  std::string line = prefix + Quoted(name) + " (";
  bool first = true;
  for (const json& column : ArrayAt(table, "columns")) {
    const std::string column_name = TextAt(column, "/name");
    const std::string type = TextAt(column, "/type");
    if (HasControls(column_name) || HasControls(type)) return std::nullopt;
    line += (first ? "" : ", ") + Quoted(column_name) + " " + type;
    first = false;
  }
  return line + ")\n";
}

}  // namespace

std::optional<std::string> CatalogPrompt(std::string_view catalog, size_t most_bytes) {
  const json document = json::parse(catalog, nullptr, false);
  if (!document.is_object() || !document.contains("databases")) return std::nullopt;
  std::string out(kHeading);
  size_t left_out = 0;
  for (const json& database : ArrayAt(document, "databases")) {
    const std::string name = TextAt(database, "/name");
    if (!database.is_object() || HasControls(name)) continue;
    if (const auto available = database.find("available");
        available != database.end() && *available == false) {
      out += "The database " + Quoted(name) + " is not available at the moment.\n";
      continue;
    }
    for (const json& schema : ArrayAt(database, "schemas")) {
      const std::string schema_name = TextAt(schema, "/name");
      const std::string prefix = Quoted(name) + "." + Quoted(schema_name) + ".";
      for (const json& table : ArrayAt(schema, "tables")) {
        const auto line = HasControls(schema_name) ? std::nullopt : TableLine(prefix, table);
        if (line && out.size() + line->size() <= most_bytes) {
          out += *line;
        } else {
          ++left_out;
        }
      }
    }
  }
  if (left_out > 0) out += "There are " + std::to_string(left_out) + " more, which are not shown here.\n";
  return out;
}

}  // namespace pondpilot::proxy::ai
