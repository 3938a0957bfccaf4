#pragma once

#include <vector>

#include "proxy/access/gate.h"
#include "proxy/admin/health.h"
#include "proxy/admin/operator.h"
#include "proxy/ai/gateway.h"
#include "proxy/auth/token_issuer.h"
#include "proxy/http/router.h"
#include "proxy/limits/rate_limiter.h"
#include "proxy/quack/routes.h"
#include "proxy/sql/routes.h"
#include "telemetry/metrics.h"

namespace pondpilot::proxy {

// What the routes need. All of it must outlive them.
struct RouteServices {
  const access::Gate& gate;
  admin::HealthSource& health;
  admin::OperatorSource& operators;
  const telemetry::Registry& metrics;
  const auth::TokenIssuer& issuer;
  limits::RateLimiter& demo_token_limit;
  bool demo_tokens = true;
  sql::SqlServices sql;
  quack::QuackServices quack;
  ai::GatewayServices ai;
};

// Every route of the HTTP door. src/proxy/admin/openapi.json describes them; a test holds one against the
// other.
std::vector<http::Route> AllRoutes(RouteServices services);

}  // namespace pondpilot::proxy
