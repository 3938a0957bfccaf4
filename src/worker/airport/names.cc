#include "worker/airport/names.h"

#include <set>

#include "base/text.h"

namespace pondpilot::worker::airport {
namespace {

constexpr std::string_view kUnreachable = "main";

}  // namespace

std::vector<SchemaName> Advertise(const std::vector<std::pair<std::string, std::string>>& schemas, bool all) {
  std::vector<SchemaName> names;
  std::set<std::string> taken;  // DuckDB's names know no case
  const auto add = [&](const std::pair<std::string, std::string>& one, std::string name) {
    while (!taken.insert(base::ToLowerAscii(name)).second) name += '_';
    names.push_back({std::move(name), one.first, one.second});
  };
  const auto is_unreachable = [&](const std::pair<std::string, std::string>& one) {
    return !all && base::EqualsIgnoreCase(one.second, kUnreachable);
  };
  // Those that keep their names come first.
  for (const auto& one : schemas) {
    if (!is_unreachable(one)) add(one, all ? one.first + "." + one.second : one.second);
  }
  for (const auto& one : schemas) {
    if (is_unreachable(one)) add(one, one.second + "_");
  }
  return names;
}

std::optional<SchemaName> PlaceFor(const std::string& advertised, const std::string& catalog,
                                   const std::vector<std::string>& catalogs) {
  if (!catalog.empty()) return SchemaName{advertised, catalog, advertised};
  std::optional<SchemaName> place;
  for (const std::string& one : catalogs) {
    if (!advertised.starts_with(one + ".") || advertised.size() == one.size() + 1) continue;
    if (place && place->catalog.size() > one.size()) continue;
    place = SchemaName{advertised, one, advertised.substr(one.size() + 1)};
  }
  return place;
}

}  // namespace pondpilot::worker::airport
