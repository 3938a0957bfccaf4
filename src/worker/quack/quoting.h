#pragma once

#include <string>
#include <string_view>

namespace pondpilot::worker::quack {

inline std::string Quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}
inline std::string Identifier(std::string_view name) { return Quoted(name, '"'); }
inline std::string Literal(std::string_view text) { return Quoted(text, '\''); }

}  // namespace pondpilot::worker::quack
