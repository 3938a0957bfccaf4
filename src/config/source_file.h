#pragma once

#include <expected>
#include <map>
#include <optional>
#include <string>

#include "config/loader.h"

namespace pondpilot::config {

inline constexpr char kDefaultConfigFile[] = "/config.yaml";

// Reads the configuration file once, whole. Which one: `named` (--config), else PONDPILOT_CONFIG of
// `environment`, else `default_file`. Only the default file may be missing. At most 1 MiB is read.
std::expected<Source, Problems> ReadSource(const std::optional<std::string>& named,
                                           std::map<std::string, std::string> environment,
                                           const std::string& default_file = kDefaultConfigFile);

// The environment of this process. Call it before threads start.
std::map<std::string, std::string> ProcessEnvironment();

}  // namespace pondpilot::config
