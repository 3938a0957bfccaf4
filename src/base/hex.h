#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pondpilot::base {

// Two lower-case digits per byte.
std::string ToHex(std::string_view bytes);

// The bytes of an even number of hex digits of either case; nullopt for anything else.
std::optional<std::string> FromHex(std::string_view digits);

}  // namespace pondpilot::base
