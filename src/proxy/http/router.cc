#include "proxy/http/router.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <exception>

#include "proxy/http/problem.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::http {

std::string Router::AllowedMethods(const std::string& path) const {
  std::string methods;
  for (const Route& route : routes_) {
    if (route.path != path) continue;
    if (!methods.empty()) methods += ", ";
    methods += route.method;
    if (route.method == "GET") methods += ", HEAD";
  }
  return methods.empty() ? methods : methods + ", OPTIONS";
}

const Route* Router::Find(std::string_view method, std::string_view path) const {
  const auto found = std::ranges::find_if(
      routes_, [&](const Route& route) { return route.path == path && route.method == method; });
  return found == routes_.end() ? nullptr : &*found;
}

size_t Router::LargestBody(size_t least) const {
  for (const Route& route : routes_) least = std::max(least, route.body_bytes);
  return least;
}

std::string_view Router::LabelOf(std::string_view path) const {
  const auto found = std::ranges::find(routes_, path, &Route::path);
  return found == routes_.end() ? kOtherRoute : std::string_view(found->path);
}

boost::asio::awaitable<Response> Router::Dispatch(const Request& request) const {
  const std::string_view method = request.method == "HEAD" ? std::string_view("GET") : request.method;
  if (const Route* route = Find(method, request.path)) {
    Response answer = co_await route->handler(request);
    co_return answer;
  }
  const std::string allowed = AllowedMethods(request.path);
  if (allowed.empty()) {
    co_return ToResponse(
        {404,
         "not_found",
         "There is no such thing",
         "No route has this path. The routes are listed in the documentation (docs/http-api.md).",
         {}},
        request.request_id);
  }
  if (request.method == "OPTIONS") {
    Response response;
    response.status = 204;
    response.content_type.clear();
    response.headers = cors_.PreflightHeaders(request.Header("Origin"), allowed);
    response.headers.emplace_back("Allow", allowed);
    co_return response;
  }
  Response response = ToResponse({405,
                                  "method_not_allowed",
                                  "The method does not fit the path",
                                  "This path answers " + allowed + " only.",
                                  {}},
                                 request.request_id);
  response.headers.emplace_back("Allow", allowed);
  co_return response;
}

boost::asio::awaitable<Response> Router::Handle(const Request& request) const {
  Response response;
  std::string failure;
  try {
    response = co_await Dispatch(request);
  } catch (const boost::system::system_error& thrown) {
    // The session cancels a handler whose client is gone; nobody will read this answer.
    if (thrown.code() == boost::asio::error::operation_aborted) {
      response.status = kClientGone;
    } else {
      failure = thrown.what();
    }
  } catch (const std::exception& thrown) {
    failure = thrown.what();
  } catch (...) {
    failure = "something that is not a std::exception";
  }
  if (!failure.empty()) {
    response = ToResponse(ToProblem({base::ErrorCode::kInternal,
                                     "The request failed inside the proxy; the operator's log has its id.",
                                     "",
                                     {}}),
                          request.request_id);
    telemetry::Log(telemetry::Level::kError, "HTTP handler failed",
                   {{"path", request.path}, {"request_id", request.request_id}, {"error", failure}});
  }
  if (request.method != "OPTIONS") AddCorsHeaders(request.Header("Origin"), response);
  co_return response;
}

void Router::AddCorsHeaders(std::string_view origin, Response& response) const {
  for (auto& header : cors_.HeadersFor(origin)) response.headers.push_back(std::move(header));
}

}  // namespace pondpilot::proxy::http
