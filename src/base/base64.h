#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pondpilot::base {

// RFC 4648 section 5 (URL-safe alphabet, no padding), as JWTs use it.
std::string ToBase64Url(std::string_view bytes);
// nullopt for characters outside the alphabet, padding, an impossible length or stray bits at the end.
std::optional<std::string> FromBase64Url(std::string_view text);

// RFC 4648 section 4 (with padding), as HTTP Basic uses it; missing padding is accepted.
std::optional<std::string> FromBase64(std::string_view text);

}  // namespace pondpilot::base
