#include "config/profiles.h"

#include <algorithm>

#include "config/values.h"

namespace pondpilot::config {
namespace {

constexpr size_t kMostNameBytes = 64;

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kMostNameBytes && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

}  // namespace

std::optional<Profile> ParseProfile(std::string_view text) {
  const size_t first = text.find(':');
  const size_t second = first == std::string_view::npos ? first : text.find(':', first + 1);
  if (second == std::string_view::npos || !IsName(text.substr(0, first))) return std::nullopt;
  const auto memory = ParseSize(text.substr(first + 1, second - first - 1));
  const auto cores = ParseNumber(text.substr(second + 1));
  if (!memory || !cores) return std::nullopt;
  const auto bytes = static_cast<double>(*memory);
  if (bytes < kLeastMemoryBytes || bytes > kMostMemoryBytes || *cores < kLeastCores || *cores > kMostCores) {
    return std::nullopt;
  }
  return Profile{std::string(text.substr(0, first)), *memory, *cores};
}

}  // namespace pondpilot::config
