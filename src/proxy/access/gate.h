#pragma once

#include <functional>
#include <string>

#include "proxy/auth/token_verifier.h"
#include "proxy/http/message.h"
#include "proxy/http/router.h"
#include "proxy/limits/rate_limiter.h"

namespace pondpilot::proxy::access {

// Who may use a route of the HTTP door: whoever has a valid token and requests left. Must outlive its routes.
class Gate {
 public:
  // Takes one request from the caller's budget, or says why not.
  using Admit = std::function<limits::Answer(const auth::Principal&)>;
  using UserHandler =
      std::function<boost::asio::awaitable<http::Response>(const http::Request&, const auth::Principal&)>;

  // `strangers` counts, by address, requests without a valid token. Both must outlive the gate.
  Gate(const auth::TokenVerifier& verifier, limits::RateLimiter& strangers, Admit admit)
      : verifier_(verifier), strangers_(strangers), admit_(std::move(admit)) {}

  // A route whose handler runs for callers that were let in only. Its answers say where the caller stands
  // (RateLimit headers).
  http::Route Route(std::string method, std::string path, UserHandler handler) const;

  // The caller that a request's token names. kUnauthenticated, which says what is wrong with the token;
  // kResourceExhausted when too many such requests have come from its address. A valid token is never refused
  // for what others do at the same address.
  base::Result<auth::Principal> Identify(const http::Request& request) const;

 private:
  const auth::TokenVerifier& verifier_;
  limits::RateLimiter& strangers_;
  const Admit admit_;
};

}  // namespace pondpilot::proxy::access
