#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace pondpilot::proxy::http {

// A request's body as a JSON object whose fields are all in `known`; else kInvalidArgument, which says what
// is wrong.
base::Result<nlohmann::json> ParseJsonObject(std::string_view body, const std::vector<std::string>& known);

}  // namespace pondpilot::proxy::http
