#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/yaml_tree.h"

namespace pondpilot::config {

inline constexpr size_t kMaxAttachedDatabases = 64;

// One key of an entry of duckdb.attached_databases, for checks and the reference page.
struct DatabaseKey {
  std::string_view name;
  std::string_view default_text;  // "required" where there is none
  std::string_view allowed;
  std::string_view example;
  std::string_view description;
};

std::span<const DatabaseKey> DatabaseKeys();

struct DatabaseList {
  std::vector<AttachedDatabase> databases;
  std::vector<YamlProblem> problems;  // lines are those of the nodes; no text of a connection string
  std::vector<YamlProblem> warnings;  // likewise
};

// Reads the value of `key` (duckdb.attached_databases). A connection string that names a variable the
// environment lacks, or has empty, makes that database `unavailable` and is no problem.
DatabaseList ReadDatabases(const YamlNode& node, std::string_view key,
                           const std::map<std::string, std::string>& environment);

}  // namespace pondpilot::config
