#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

// What the text options may hold. A rule gives the accepted text, normalised, or nullopt.
namespace pondpilot::config {

struct TextRule {
  std::string_view allowed;  // for people: follows "allowed: "
  std::optional<std::string> (*accept)(std::string_view text) = nullptr;
  std::span<const std::string_view> choices;  // when not empty, the only texts allowed; `accept` is unused
};

extern const TextRule kListenHostRule;   // an IPv4 or IPv6 address, without brackets
extern const TextRule kImageRule;        // a Docker image reference
extern const TextRule kDockerNameRule;   // a Docker network
extern const TextRule kInstanceRule;     // like a Docker name, or empty
extern const TextRule kSocketPathRule;   // an absolute path
extern const TextRule kBaseUrlRule;      // http(s) URL without user, query, fragment; a final "/" is dropped
extern const TextRule kOptionalUrlRule;  // the same, or empty
extern const TextRule kNetworkRule;      // an IP address or network
extern const TextRule kModelRule;        // a model's name
extern const TextRule kApiKeyRule;       // printable ASCII without blanks, or empty
extern const TextRule kJwtSecretRule;    // at least kMinJwtSecretBytes
extern const TextRule kOriginRule;       // one CORS origin
extern const TextRule kExtensionRule;    // one DuckDB extension
extern const TextRule kProfileRule;      // name:memory:cores
extern const TextRule kLogLevelRule;
extern const TextRule kBackendRule;
extern const TextRule kJailLayerRule;  // one layer of jail/layers.h

inline constexpr size_t kMinJwtSecretBytes = 32;

}  // namespace pondpilot::config
