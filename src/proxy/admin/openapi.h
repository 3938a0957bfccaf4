#pragma once

#include <string_view>

#include "proxy/http/router.h"

namespace pondpilot::proxy::admin {

// The description of all routes (OpenAPI 3.1), openapi.json beside this file.
extern const std::string_view kOpenApi;

// GET /openapi.json
http::Route OpenApiRoute();

}  // namespace pondpilot::proxy::admin
