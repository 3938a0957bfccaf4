#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pondpilot::base {

// True for well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF).
bool IsUtf8(std::string_view text);

// ASCII lower case; other bytes stay.
std::string ToLowerAscii(std::string_view text);

// ASCII case-insensitive comparison.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

// `text` without ASCII blanks, tabs and line ends at both sides.
std::string_view Trim(std::string_view text);

// The candidate with the smallest edit distance to `word`, or nullopt when none is close enough to be what
// was meant (more than a third of the letters differ).
std::optional<std::string> Nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace pondpilot::base
