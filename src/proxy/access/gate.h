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
  using AdmitCaller = std::function<limits::Answer(const auth::Principal&)>;
  using UserHandler =
      std::function<boost::asio::awaitable<http::Response>(const http::Request&, const auth::Principal&)>;

  // `strangers` counts, by address, requests without a valid token. Both must outlive the gate.
  Gate(const auth::TokenVerifier& verifier, limits::RateLimiter& strangers, AdmitCaller admit)
      : verifier_(verifier), strangers_(strangers), admit_(std::move(admit)) {}

  // A route whose handler runs for callers that were let in only, and of whom alone large bodies are read.
  // Its answers say where the caller stands (RateLimit headers).
  http::Route Route(std::string method, std::string path, UserHandler handler) const;

  // The caller that a request's token names. kUnauthenticated, which says what is wrong with the token;
  // kResourceExhausted when too many such requests have come from its address. A valid token is never refused
  // for what others do at the same address.
  base::Result<auth::Principal> Identify(const http::Request& request) const;
  // The same for a token that the request carries elsewhere than in its header.
  base::Result<auth::Principal> IdentifyToken(std::string_view token, const http::Request& request) const;
  // Takes one request from the caller's budget, for routes that are not made by Route.
  limits::Answer Admit(const auth::Principal& principal) const { return admit_(principal); }

 private:
  // The principal, or why not; who has no valid token is counted.
  base::Result<auth::Principal> Counted(base::Result<auth::Principal> principal,
                                        const http::Request& request) const;

  const auth::TokenVerifier& verifier_;
  limits::RateLimiter& strangers_;
  const AdmitCaller admit_;
};

}  // namespace pondpilot::proxy::access
