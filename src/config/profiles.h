#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pondpilot::config {

// What one worker may use, as the table bounds it wherever it is said.
inline constexpr double kLeastMemoryBytes = 160.0 * 1024 * 1024;  // a worker at rest has some 100 MiB of data
inline constexpr double kMostMemoryBytes = 1024.0 * 1024 * 1024 * 1024;
inline constexpr double kLeastCores = 0.05;
inline constexpr double kMostCores = 256;

// Limits with a name that a token may ask for: "large:2g:4", name, memory, cores.
struct Profile {
  std::string name;
  uint64_t memory_bytes = 0;
  double cpu_cores = 0;
};

// nullopt for anything else, and for limits out of bounds.
std::optional<Profile> ParseProfile(std::string_view text);

}  // namespace pondpilot::config
