#pragma once

#include <functional>

#include "proxy/auth/token_verifier.h"
#include "proxy/http/message.h"
#include "proxy/http/router.h"

namespace pondpilot::proxy::access {

// Who may use a route of the HTTP door: whoever has a valid token and requests left.
class Gate {
 public:
  // Takes one request from the caller's budget, or says why not.
  using Admit = std::function<base::Result<void>(const auth::Principal&)>;
  using UserHandler =
      std::function<boost::asio::awaitable<http::Response>(const http::Request&, const auth::Principal&)>;

  // `verifier` must outlive the gate and its routes.
  Gate(const auth::TokenVerifier& verifier, Admit admit) : verifier_(verifier), admit_(std::move(admit)) {}

  // A route whose handler runs for callers that were let in only.
  http::Route Route(std::string method, std::string path, UserHandler handler) const;

 private:
  const auth::TokenVerifier& verifier_;
  const Admit admit_;
};

// The caller that a request's token names. kUnauthenticated, which says what is wrong with the token.
base::Result<auth::Principal> Identify(const auth::TokenVerifier& verifier, const http::Request& request);

}  // namespace pondpilot::proxy::access
