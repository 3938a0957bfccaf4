#include "proxy/access/gate.h"

#include <utility>

#include "proxy/http/problem.h"

namespace pondpilot::proxy::access {

using boost::asio::awaitable;

base::Result<auth::Principal> Identify(const auth::TokenVerifier& verifier, const http::Request& request) {
  if (request.headers.count(boost::beast::http::field::authorization) > 1) {
    return base::Fail(base::ErrorCode::kUnauthenticated,
                      "The authorization header was sent twice; send one.");
  }
  return verifier.VerifyAuthorization(request.Header("Authorization"));
}

http::Route Gate::Route(std::string method, std::string path, UserHandler handler) const {
  return {std::move(method), std::move(path),
          [&verifier = verifier_, admit = admit_,
           handler = std::move(handler)](const http::Request& request) -> awaitable<http::Response> {
            const auto principal = Identify(verifier, request);
            if (!principal) {
              co_return http::ToResponse(http::ToProblem(principal.error()), request.request_id);
            }
            if (const auto admitted = admit(*principal); !admitted) {
              co_return http::ToResponse(http::ToProblem(admitted.error()), request.request_id);
            }
            co_return co_await handler(request, *principal);
          }};
}

}  // namespace pondpilot::proxy::access
