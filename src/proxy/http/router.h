#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/body_pool.h"
#include "proxy/http/cors.h"
#include "proxy/http/message.h"

namespace pondpilot::proxy::http {

// Says of a large body, before it is read, whether it may come; an answer refuses it. `head` is the request
// without its body, of which `begin` are the first bytes.
using BodyGate = std::function<std::optional<Response>(const Request& head, std::string_view begin)>;

struct Route {
  std::string method;  // "GET" also answers HEAD
  std::string path;    // exact
  Handler handler;
  // Its handler waits for nothing: that its client goes meanwhile is not watched for.
  bool at_once = false;
  // Who may send a body of more than ServerLimits::small_body_bytes. Without it nobody may: what strangers
  // send must not take the place of what users do.
  BodyGate body_gate = {};
  // How many of the body's first bytes the gate looks at.
  size_t gate_bytes = 0;
  // Of a large body and the time that it may take to arrive; 0: the server's limits.
  size_t body_bytes = 0;
  std::chrono::milliseconds body_wait{0};
  // What large bodies take is counted here; nullptr: in the server's pool.
  std::shared_ptr<BodyPool> body_pool = {};
};

inline constexpr std::string_view kOtherRoute = "other";

// Finds the handler of a request: 404 and 405 with Allow where there is none, OPTIONS answered from the
// table, a 500 problem when a handler throws, CORS headers on everything.
class Router {
 public:
  Router(std::vector<Route> routes, Cors cors) : routes_(std::move(routes)), cors_(std::move(cors)) {}

  boost::asio::awaitable<Response> Handle(const Request& request) const;

  // Lets the page that has asked read an answer that Handle did not make.
  void AddCorsHeaders(std::string_view origin, Response& response) const;

  const std::vector<Route>& routes() const { return routes_; }
  // The route of a request; nullptr when there is none.
  const Route* Find(std::string_view method, std::string_view path) const;
  // The largest body that any of the routes takes, or `least`.
  size_t LargestBody(size_t least) const;
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
