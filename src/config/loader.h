#pragma once

#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"

namespace pondpilot::config {

// All that a configuration is made of; nothing else is read.
struct Source {
  std::optional<std::string> yaml_text;   // nullopt: no file
  std::string file_name = "config.yaml";  // for messages
  std::map<std::string, std::string> environment;
};

struct Loaded {
  Config config;
  // For the log: an attached database that is unavailable, a host that means the worker itself, an example
  // secret.
  std::vector<std::string> warnings;
};

// One sentence or more each: "config.yaml:3: server.port: found "x"; allowed: …". Never a secret, a
// connection string or a value that came out of a substitution.
using Problems = std::vector<std::string>;

// Environment over YAML over defaults. On failure all problems that can be told from this source, those of
// the file first, in its order.
std::expected<Loaded, Problems> Load(const Source& source);

}  // namespace pondpilot::config
