#include "config/substitution.h"

#include <algorithm>

namespace pondpilot::config {
namespace {

constexpr std::string_view kNameStart = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
constexpr std::string_view kNameRest = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

void AddOnce(std::vector<std::string>& names, const std::string& name) {
  if (!std::ranges::contains(names, name)) names.push_back(name);
}

}  // namespace

std::expected<Substituted, std::string> Substitute(std::string_view text,
                                                   const std::map<std::string, std::string>& environment) {
  Substituted out;
  while (true) {
    const size_t open = text.find("${");
    if (open == std::string_view::npos) break;
    if (open > 0 && text[open - 1] == '$') {
      out.text += text.substr(0, open - 1);
      out.text += "${";
      text.remove_prefix(open + 2);
      continue;
    }
    out.text += text.substr(0, open);
    text.remove_prefix(open + 2);
    const size_t close = text.find('}');
    const std::string name(text.substr(0, close));
    if (close == std::string_view::npos || name.empty() || !kNameStart.contains(name[0]) ||
        name.find_first_not_of(kNameRest) != std::string::npos) {
      return std::unexpected(
          "\"${\" must be followed by the name of an environment variable and \"}\", as in ${DATABASE_URL} "
          "(defaults "
          "and other operators are not supported); write $${ for the characters themselves.");
    }
    text.remove_prefix(close + 1);
    out.replaced = true;
    const auto variable = environment.find(name);
    if (variable == environment.end()) {
      AddOnce(out.unset, name);
    } else {
      if (variable->second.empty()) AddOnce(out.empty, name);
      out.text += variable->second;
    }
  }
  out.text += text;
  return out;
}

}  // namespace pondpilot::config
