#include "proxy/http/cors.h"

#include <algorithm>

namespace pondpilot::proxy::http {

std::vector<std::pair<std::string, std::string>> Cors::HeadersFor(std::string_view origin) const {
  if (origin.empty()) return {};
  const bool any = std::ranges::find(allowed_, "*") != allowed_.end();
  if (!any && std::ranges::find(allowed_, origin) == allowed_.end()) return {};
  std::vector<std::pair<std::string, std::string>> headers;
  // Tokens travel in a header that the page sets itself, never in cookies: no credentials mode, and "*" is
  // safe.
  headers.emplace_back("Access-Control-Allow-Origin", any ? "*" : std::string(origin));
  headers.emplace_back("Access-Control-Expose-Headers",
                       "X-Request-Id, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset");
  if (!any) headers.emplace_back("Vary", "Origin");
  return headers;
}

std::vector<std::pair<std::string, std::string>> Cors::PreflightHeaders(std::string_view origin,
                                                                        const std::string& methods) const {
  auto headers = HeadersFor(origin);
  if (headers.empty()) return headers;
  headers.emplace_back("Access-Control-Allow-Methods", methods);
  headers.emplace_back("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id");
  headers.emplace_back("Access-Control-Max-Age", "600");
  return headers;
}

}  // namespace pondpilot::proxy::http
