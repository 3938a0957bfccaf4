#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace pondpilot::config {

// Keys whose values differ, in the table's order. Of attached databases also what is not shown, such as a
// password; of other secrets only whether there is one, as a running process can't get new ones.
struct Changes {
  std::vector<std::string> taken;          // a running proxy takes these
  std::vector<std::string> needs_restart;  // and not these
};

Changes Compare(const Config& before, const Config& after);

}  // namespace pondpilot::config
