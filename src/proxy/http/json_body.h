#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "proxy/http/message.h"
#include "proxy/http/problem.h"

namespace pondpilot::proxy::http {

// A request's body as a JSON object whose fields are all in `known`; else kInvalidArgument, which says what
// is wrong.
base::Result<nlohmann::json> ParseJsonObject(std::string_view body, const std::vector<std::string>& known);

// The problem with a request whose body is not declared as application/json; nullopt when it is.
std::optional<Problem> RefuseOtherThanJson(const Request& request);

}  // namespace pondpilot::proxy::http
