#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/networks.h"
#include "config/config.h"
#include "proxy/auth/principal.h"
#include "proxy/limits/rate_limiter.h"

namespace pondpilot::proxy {

// The bounds on how many requests a caller may make, over all doors together. Thread-safe.
class Budgets {
 public:
  using RateLimit = config::Config::Security::RateLimit;

  // `clock` must outlive it.
  Budgets(const RateLimit& rate, base::TrustedProxies trusted, const base::Clock& clock);

  // Takes one request from a user's budget.
  limits::Answer Admit(const auth::Principal& principal);
  // Takes a call over gRPC without a valid token from its address's budget. `peer` is gRPC's text for it,
  // `forwarded_for` what proxies say of who is behind it.
  base::Result<void> AdmitStranger(std::string_view peer, std::string_view forwarded_for);

  // Both by address.
  limits::RateLimiter& strangers() { return strangers_; }
  limits::RateLimiter& demo_tokens() { return demo_tokens_; }

  // From now on.
  void SetRate(const RateLimit& rate);

 private:
  const base::TrustedProxies trusted_;
  limits::RateLimiter users_;
  limits::RateLimiter demo_users_;
  limits::RateLimiter demo_tokens_;
  limits::RateLimiter strangers_;
};

}  // namespace pondpilot::proxy
