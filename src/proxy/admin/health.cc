#include "proxy/admin/health.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace pondpilot::proxy::admin {
namespace {

using boost::asio::awaitable;
using nlohmann::ordered_json;

http::Response Json(unsigned status, const ordered_json& body) {
  http::Response response;
  response.status = status;
  response.body = body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  return response;
}

ordered_json ToJson(const std::map<std::string, Component>& components) {
  ordered_json out = ordered_json::object();
  for (const auto& [name, component] : components) {
    out[name]["status"] = component.status;
    if (!component.reason.empty()) out[name]["reason"] = component.reason;
  }
  return out;
}

// A database that is down costs the queries that name it: degraded, not unhealthy.
std::string OverallStatus(const HealthReport& report) {
  if (!report.not_ready.empty()) return "unhealthy";
  const auto down = [](const auto& entry) { return entry.second.status == "unavailable"; };
  const bool degraded =
      std::ranges::any_of(report.components, down) || std::ranges::any_of(report.databases, down);
  return degraded ? "degraded" : "healthy";
}

}  // namespace

std::vector<http::Route> HealthRoutes(HealthSource& source) {
  std::vector<http::Route> routes;
  http::Route health{"GET", "/health",
                     [answer = Json(200, {{"status", "healthy"}})](
                         const http::Request&) -> awaitable<http::Response> { co_return answer; }};
  health.at_once = true;
  routes.push_back(std::move(health));
  routes.push_back({"GET", "/ready", [&source](const http::Request&) -> awaitable<http::Response> {
                      const HealthReport report = co_await source.Report();
                      if (report.not_ready.empty()) co_return Json(200, {{"ready", true}});
                      http::Response response = Json(503, {{"ready", false}, {"reasons", report.not_ready}});
                      response.headers.emplace_back("Retry-After", "5");
                      co_return response;
                    }});
  routes.push_back({"GET", "/health/detailed", [&source](const http::Request&) -> awaitable<http::Response> {
                      const HealthReport report = co_await source.Report();
                      ordered_json body;
                      body["status"] = OverallStatus(report);
                      body["containers"] = {{"active", report.workers_active},
                                            {"warm", report.workers_warm},
                                            {"queued", report.users_queued},
                                            {"total_spawned", report.workers_spawned},
                                            {"total_stopped", report.workers_stopped}};
                      body["uptime_seconds"] = report.uptime.count();
                      body["components"] = ToJson(report.components);
                      body["components"]["databases"] = ToJson(report.databases);
                      co_return Json(200, body);
                    }});
  return routes;
}

}  // namespace pondpilot::proxy::admin
