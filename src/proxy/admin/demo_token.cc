#include "proxy/admin/demo_token.h"

#include <format>
#include <nlohmann/json.hpp>

#include "proxy/access/address_key.h"
#include "proxy/http/problem.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::admin {
http::Route DemoTokenRoute(const auth::TokenIssuer& issuer, limits::RateLimiter& per_address, bool enabled) {
  return {
      "POST", "/auth/demo-token",
      [&issuer, &per_address,
       enabled](const http::Request& request) -> boost::asio::awaitable<http::Response> {
        if (!enabled) {
          co_return http::ToResponse(
              {403,
               "demo_tokens_off",
               "Demo tokens are switched off",
               "The operator has switched demo tokens off (security.demo_tokens). Ask for a "
               "token of your own.",
               {}},
              request.request_id);
        }
        if (const auto allowed = per_address.Take(access::AddressKey(request.peer_address)); !allowed) {
          telemetry::Log(
              telemetry::Level::kWarn, "Rate limit exceeded",
              {{"user_id", "anonymous"}, {"route", "/auth/demo-token"}, {"request_id", request.request_id}});
          co_return http::ToResponse(http::ToProblem(allowed.error()), request.request_id);
        }
        const auto issued = issuer.IssueDemo();
        if (!issued) co_return http::ToResponse(http::ToProblem(issued.error()), request.request_id);
        nlohmann::ordered_json body;
        body["token"] = issued->token;
        body["expires_at"] =
            std::format("{:%FT%TZ}", std::chrono::floor<std::chrono::seconds>(issued->expires_at));
        http::Response response;
        response.body = body.dump();
        co_return response;
      }};
}

}  // namespace pondpilot::proxy::admin
