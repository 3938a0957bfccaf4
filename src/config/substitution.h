#pragma once

#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pondpilot::config {

struct Substituted {
  std::string text;                // names in `unset` are left out of it
  std::vector<std::string> unset;  // names that the environment doesn't have, each once
  std::vector<std::string> empty;  // names that are set to the empty string, each once
  bool replaced = false;           // at least one ${…} was there: `text` may hold what nobody should print
};

// Replaces each ${NAME} from `environment`; $${ gives ${. A NAME is a letter or underscore, then letters,
// digits and underscores. The error (anything else after ${) is a sentence without the text itself.
std::expected<Substituted, std::string> Substitute(std::string_view text,
                                                   const std::map<std::string, std::string>& environment);

}  // namespace pondpilot::config
