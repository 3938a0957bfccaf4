#pragma once

#include <vector>

#include "proxy/http/router.h"
#include "proxy/quack/door.h"

namespace pondpilot::proxy::quack {

// POST /quack.
std::vector<http::Route> QuackRoutes(QuackServices services);

}  // namespace pondpilot::proxy::quack
