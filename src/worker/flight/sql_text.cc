#include "worker/flight/sql_text.h"

namespace pondpilot::worker::flight {
namespace {

std::string InQuotes(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}

}  // namespace

std::string Literal(std::string_view text) { return InQuotes(text, '\''); }
std::string Quoted(std::string_view name) { return InQuotes(name, '"'); }

}  // namespace pondpilot::worker::flight
