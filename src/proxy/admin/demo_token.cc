#include "proxy/admin/demo_token.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <format>
#include <nlohmann/json.hpp>

#include "proxy/http/problem.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::admin {
namespace {

// What is limited: an IPv4 address, or the /64 network of an IPv6 address, as that is what one customer gets.
std::string LimitKey(const std::string& peer_address) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(peer_address, error);
  if (error || !address.is_v6()) return peer_address;
  auto v6 = address.to_v6();
  if (v6.is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, v6).to_string();
  }
  auto bytes = v6.to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return boost::asio::ip::address_v6(bytes).to_string();
}

}  // namespace

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
        if (const auto allowed = per_address.Take(LimitKey(request.peer_address)); !allowed) {
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
