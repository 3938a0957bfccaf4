#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pondpilot::worker::airport {

// A schema as a client knows it, and as it is called here.
struct SchemaName {
  std::string advertised;
  std::string catalog;
  std::string schema;
};

// What a client attaches as '' holds the schemas of all databases, each called "database.schema"; what it
// attaches by a database's name holds that database's own. DuckDB's client can't reach a schema called
// "main", so that one is called "main_" there, or "main__" where "main_" exists. `all`: for ''. `schemas` are
// (catalog, schema). No two get the same name.
std::vector<SchemaName> Advertise(const std::vector<std::pair<std::string, std::string>>& schemas, bool all);

// The schema that a client means to create under a name: of `catalog` when that is not empty, else of the
// longest of `catalogs` that the name begins with. nullopt when there is none of these.
std::optional<SchemaName> PlaceFor(const std::string& advertised, const std::string& catalog,
                                   const std::vector<std::string>& catalogs);

}  // namespace pondpilot::worker::airport
