#pragma once

#include <string>
#include <string_view>

namespace pondpilot::worker::flight {

// `text` in the quotes that it needs as a literal or as a name in SQL.
std::string Literal(std::string_view text);
std::string Quoted(std::string_view name);

}  // namespace pondpilot::worker::flight
