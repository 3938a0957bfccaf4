#pragma once

#include <string_view>

namespace pondpilot::worker::engine {

// SQL's LIKE over bytes of UTF-8: % stands for any text, _ for one character, and \ makes the character after
// it stand for itself. Takes time of the order of the product of the lengths at most.
bool IsLike(std::string_view text, std::string_view pattern);

}  // namespace pondpilot::worker::engine
