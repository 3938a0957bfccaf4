#include "proxy/access/gate.h"

#include <utility>

#include "proxy/access/address_key.h"
#include "proxy/http/problem.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::access {
namespace {

using boost::asio::awaitable;

void AddStanding(const limits::Standing& standing, http::Response& response) {
  response.headers.emplace_back("RateLimit-Limit", std::to_string(standing.limit));
  response.headers.emplace_back("RateLimit-Remaining", std::to_string(standing.remaining));
  response.headers.emplace_back("RateLimit-Reset", std::to_string(standing.until_full.count()));
}

}  // namespace

base::Result<auth::Principal> Gate::Identify(const http::Request& request) const {
  auto principal = request.headers.count(boost::beast::http::field::authorization) > 1
                       ? base::Fail(base::ErrorCode::kUnauthenticated,
                                    "The authorization header was sent twice; send one.")
                       : verifier_.VerifyAuthorization(request.Header("Authorization"));
  return Counted(std::move(principal), request);
}

base::Result<auth::Principal> Gate::IdentifyToken(std::string_view token,
                                                  const http::Request& request) const {
  return Counted(verifier_.Verify(token), request);
}

base::Result<auth::Principal> Gate::Counted(base::Result<auth::Principal> principal,
                                            const http::Request& request) const {
  if (principal) return principal;
  if (const auto taken = strangers_.Take(AddressKey(request.peer_address)); !taken) {
    telemetry::Log(telemetry::Level::kWarn, "Rate limit exceeded",
                   {{"user_id", "anonymous"},
                    {"route", request.path},
                    {"peer", request.peer_address},
                    {"request_id", request.request_id}});
    return std::unexpected(taken.error());
  }
  return principal;
}

http::Route Gate::Route(std::string method, std::string path, UserHandler handler) const {
  http::Route route{
      std::move(method), std::move(path),
      [this, handler = std::move(handler)](const http::Request& request) -> awaitable<http::Response> {
        const auto principal = Identify(request);
        if (!principal) {
          co_return http::ToResponse(http::ToProblem(principal.error()), request.request_id);
        }
        if (request.span) request.span->Set("user.id", principal->user_id);
        const limits::Answer admitted = admit_(*principal);
        http::Response response;
        if (admitted.taken) {
          response = co_await handler(request, *principal);
        } else {
          response = http::ToResponse(http::ToProblem(admitted.taken.error()), request.request_id);
        }
        AddStanding(admitted.standing, response);
        co_return response;
      }};
  // Who it is stands in the headers: a stranger's megabyte is not waited for.
  route.body_gate = [this](const http::Request& head, std::string_view) -> std::optional<http::Response> {
    const auto principal = Identify(head);
    if (principal) return std::nullopt;
    return http::ToResponse(http::ToProblem(principal.error()), head.request_id);
  };
  return route;
}

}  // namespace pondpilot::proxy::access
