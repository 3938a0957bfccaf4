#include "proxy/admin/operator.h"

#include <boost/url/params_view.hpp>
#include <boost/url/parse_query.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "proxy/access/gate.h"
#include "proxy/http/problem.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::admin {
namespace {

using boost::asio::awaitable;
using nlohmann::ordered_json;
using telemetry::Level;

// The longest that an upgrade may be made to wait for what runs.
constexpr uint64_t kMaxGraceSeconds = 3600;
constexpr uint64_t kDefaultGraceSeconds = 30;

// Who asks; the problem when it is no operator.
base::Result<auth::Principal> Authorize(const access::Gate& gate, const http::Request& request) {
  auto principal = gate.Identify(request);
  if (principal && !principal->admin) {
    return base::Fail(base::ErrorCode::kPermissionDenied,
                      "This is for operators: it wants a token with the claim \"pondpilot_admin\": true.");
  }
  return principal;
}

http::Response Refuse(const base::Error& error, const http::Request& request) {
  return http::ToResponse(http::ToProblem(error), request.request_id);
}

http::Response Json(unsigned status, const ordered_json& body) {
  http::Response response;
  response.status = status;
  response.body = body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  return response;
}

ordered_json ToJson(const WorkerRow& row) {
  ordered_json out;
  out["worker_id"] = row.worker_id;
  out["container_id"] = row.container_id;
  out["user_id"] = row.user_id.empty() ? ordered_json(nullptr) : ordered_json(row.user_id);
  out["state"] = row.state;
  out["profile"] = row.profile.empty() ? ordered_json(nullptr) : ordered_json(row.profile);
  out["age_seconds"] = row.age.count();
  out["idle_seconds"] = row.idle.count();
  out["calls"] = row.calls;
  out["running_statements"] = row.running_statements;
  out["open_streams"] = row.open_streams;
  out["open_transactions"] = row.open_transactions;
  out["memory_bytes"] = row.memory_bytes;
  out["peak_memory_bytes"] = row.peak_memory_bytes;
  out["cpu_ms"] = row.cpu.count();
  return out;
}

// The one parameter of this name; nullopt when it is missing or stands there twice.
std::optional<std::string> Parameter(const std::string& query, std::string_view name) {
  const auto parsed = boost::urls::parse_query(query);
  if (!parsed) return std::nullopt;
  const boost::urls::params_view parameters(*parsed);
  const auto found = parameters.find(name);
  if (found == parameters.end() || parameters.count(name) != 1 || !(*found).has_value) return std::nullopt;
  return (*found).value;
}

// {"grace_seconds": N}, or nothing at all.
base::Result<std::chrono::seconds> GraceIn(const std::string& body) {
  if (body.empty()) return std::chrono::seconds(kDefaultGraceSeconds);
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (json.is_object() && json.size() == 1 && json.contains("grace_seconds")) {
    const auto& grace = json["grace_seconds"];
    if (grace.is_number_unsigned() && grace.get<uint64_t>() <= kMaxGraceSeconds) {
      return std::chrono::seconds(grace.get<uint64_t>());
    }
  }
  return base::Fail(base::ErrorCode::kInvalidArgument,
                    "The body is {\"grace_seconds\": N} with N from 0 to " +
                        std::to_string(kMaxGraceSeconds) + ", or empty.");
}

http::Response Rendered(const telemetry::Registry& metrics) {
  http::Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = metrics.Render();
  return response;
}

class Operator {
 public:
  Operator(OperatorSource& source, const access::Gate& gate, const telemetry::Registry& metrics)
      : source_(source), gate_(gate), metrics_(metrics) {}

  awaitable<http::Response> List(const http::Request& request) const {
    const auto principal = Authorize(gate_, request);
    if (!principal) co_return Refuse(principal.error(), request);
    ordered_json rows = ordered_json::array();
    for (const WorkerRow& row : source_.Workers()) rows.push_back(ToJson(row));
    ordered_json body;
    body["workers"] = std::move(rows);
    co_return Json(200, body);
  }

  awaitable<http::Response> Stop(const http::Request& request) const {
    const auto principal = Authorize(gate_, request);
    if (!principal) co_return Refuse(principal.error(), request);
    const auto worker_id = Parameter(request.query, "worker_id");
    if (!worker_id || worker_id->empty()) {
      co_return Refuse({base::ErrorCode::kInvalidArgument,
                        "Say which worker: DELETE /admin/workers?worker_id=… as GET /admin/workers names it.",
                        {},
                        {}},
                       request);
    }
    if (!source_.StopWorker(*worker_id)) {
      co_return Refuse({base::ErrorCode::kNotFound,
                        "No worker of this id is ready; GET /admin/workers lists those there are.",
                        {},
                        {}},
                       request);
    }
    telemetry::Log(Level::kInfo, "Operator stops a worker",
                   {{"operator", principal->user_id}, {"worker_id", *worker_id}});
    co_return Json(202, {{"worker_id", *worker_id}, {"state", "draining"}});
  }

  awaitable<http::Response> Drain(const http::Request& request) const {
    const auto principal = Authorize(gate_, request);
    if (!principal) co_return Refuse(principal.error(), request);
    const auto grace = GraceIn(request.body);
    if (!grace) co_return Refuse(grace.error(), request);
    if (!source_.Drain(*grace)) {
      co_return Refuse({base::ErrorCode::kFailedPrecondition, "The proxy is shutting down already.", {}, {}},
                       request);
    }
    telemetry::Log(Level::kInfo, "Operator drains the proxy",
                   {{"operator", principal->user_id}, {"grace_s", grace->count()}});
    co_return Json(202, {{"draining", true}, {"grace_seconds", grace->count()}});
  }

  awaitable<http::Response> Metrics(const http::Request& request) const {
    const auto principal = Authorize(gate_, request);
    if (!principal) co_return Refuse(principal.error(), request);
    co_return Rendered(metrics_);
  }

 private:
  OperatorSource& source_;
  const access::Gate& gate_;
  const telemetry::Registry& metrics_;
};

}  // namespace

http::Route OpenMetricsRoute(const telemetry::Registry& metrics) {
  return {"GET", "/metrics",
          [&metrics](const http::Request&) -> awaitable<http::Response> { co_return Rendered(metrics); }};
}

std::vector<http::Route> OperatorRoutes(OperatorSource& source, const access::Gate& gate,
                                        const telemetry::Registry& metrics) {
  const auto routes = std::make_shared<const Operator>(source, gate, metrics);
  return {{"GET", "/admin/workers", [routes](const http::Request& r) { return routes->List(r); }},
          {"DELETE", "/admin/workers", [routes](const http::Request& r) { return routes->Stop(r); }},
          {"POST", "/admin/drain", [routes](const http::Request& r) { return routes->Drain(r); }},
          {"GET", "/metrics", [routes](const http::Request& r) { return routes->Metrics(r); }}};
}

}  // namespace pondpilot::proxy::admin
