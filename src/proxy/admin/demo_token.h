#pragma once

#include "proxy/auth/token_issuer.h"
#include "proxy/http/router.h"
#include "proxy/limits/rate_limiter.h"

namespace pondpilot::proxy::admin {

// POST /auth/demo-token: a token of one hour for whoever asks, limited per client address; 403 when `enabled`
// is false. The references must outlive the router.
http::Route DemoTokenRoute(const auth::TokenIssuer& issuer, limits::RateLimiter& per_address, bool enabled);

}  // namespace pondpilot::proxy::admin
