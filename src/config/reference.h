#pragma once

#include <string>

namespace pondpilot::config {

// The configuration reference as a Markdown page, made from the option table. docs/configuration.md is this
// text.
std::string ConfigReference();

}  // namespace pondpilot::config
