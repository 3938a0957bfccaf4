#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/cors.h"
#include "proxy/http/message.h"

namespace pondpilot::proxy::http {

struct Route {
  std::string method;  // "GET" also answers HEAD
  std::string path;    // exact
  Handler handler;
};

inline constexpr std::string_view kOtherRoute = "other";

// Finds the handler of a request: 404 and 405 with Allow where there is none, OPTIONS answered from the
// table, a 500 problem when a handler throws, CORS headers on everything.
class Router {
 public:
  Router(std::vector<Route> routes, Cors cors) : routes_(std::move(routes)), cors_(std::move(cors)) {}

  boost::asio::awaitable<Response> Handle(const Request& request) const;

  const std::vector<Route>& routes() const { return routes_; }
  // The path when there is a route of it, else kOtherRoute: a closed set, for metrics.
  std::string_view LabelOf(std::string_view path) const;

 private:
  boost::asio::awaitable<Response> Dispatch(const Request& request) const;
  // "GET, HEAD, OPTIONS" for a path that has routes, else empty.
  std::string AllowedMethods(const std::string& path) const;

  std::vector<Route> routes_;
  Cors cors_;
};

}  // namespace pondpilot::proxy::http
