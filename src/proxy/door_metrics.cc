#include "proxy/door_metrics.h"

#include <algorithm>
#include <utility>

#include "proxy/grpc/method_table.h"

namespace pondpilot::proxy {
namespace {

constexpr std::array<const char*, 5> kClasses = {"2xx", "3xx", "4xx", "5xx", "client_gone"};
constexpr std::array<std::string_view, 3> kResults = {"ok", "client_gone", "failed"};
constexpr std::string_view kUnknownMethod = "unknown";

double Seconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double>(duration).count(); }

size_t ClassOf(unsigned status) {
  if (status == http::kClientGone) return kClasses.size() - 1;
  return std::clamp(status / 100, 2u, 5u) - 2;
}

telemetry::Counter& Refusals(telemetry::Registry& registry, const char* door, const char* reason) {
  return registry.AddCounter("pondpilot_refusals_total",
                             "Requests and calls that were turned away, by reason.",
                             {{"door", door}, {"reason", reason}});
}

}  // namespace

DoorMetrics::DoorMetrics(telemetry::Registry& registry, const std::string& version) : registry_(registry) {
  registry.AddGauge("pondpilot_build_info", "The version of the proxy, as a label.", [] { return 1.0; },
                    {{"version", version}});
  std::vector<std::string_view> methods = {kUnknownMethod};
  for (const grpc::Method& method : grpc::Methods()) methods.push_back(method.name);
  for (const std::string_view name : methods) {
    const std::string label(name);
    const auto calls = [&](const char* result) {
      return &registry.AddCounter("pondpilot_flight_calls_total", "Flight calls that have ended.",
                                  {{"method", label}, {"result", result}});
    };
    Method& method = methods_[name];
    method.ok = calls("ok");
    method.failed = calls("failed");
    method.seconds = &registry.AddHistogram("pondpilot_flight_call_seconds", "How long Flight calls took.",
                                            telemetry::LatencyBounds(), {{"method", label}});
    method.sent = &registry.AddCounter("pondpilot_flight_sent_bytes_total",
                                       "Bytes of Flight messages sent to clients.", {{"method", label}});
    method.received =
        &registry.AddCounter("pondpilot_flight_received_bytes_total",
                             "Bytes of Flight messages received from clients.", {{"method", label}});
  }
  for (const char* name : {"claude", "openai"}) {
    Provider& provider = providers_[name];
    for (const std::string_view result : kResults) {
      provider.calls[result] =
          &registry.AddCounter("pondpilot_ai_calls_total", "Calls to AI providers that have ended.",
                               {{"provider", name}, {"result", std::string(result)}});
    }
    const auto tokens = [&](const char* kind) {
      return &registry.AddCounter("pondpilot_ai_tokens_total", "Tokens that AI providers have counted.",
                                  {{"provider", name}, {"kind", kind}});
    };
    provider.retries =
        &registry.AddCounter("pondpilot_ai_retries_total", "Calls to AI providers that were tried once more.",
                             {{"provider", name}});
    provider.input_tokens = tokens("input");
    provider.output_tokens = tokens("output");
  }
  for (const auto& [status, reason] : {std::pair{401u, "unauthenticated"},
                                       {403u, "permission_denied"},
                                       {413u, "body_too_large"},
                                       {415u, "unsupported_media_type"},
                                       {429u, "rate_limited"},
                                       {431u, "headers_too_large"},
                                       {503u, "unavailable"}}) {
    http_refusals_[status] = &Refusals(registry, "http", reason);
  }
  for (const auto& [code, reason] : {std::pair{::grpc::StatusCode::UNAUTHENTICATED, "unauthenticated"},
                                     {::grpc::StatusCode::PERMISSION_DENIED, "permission_denied"},
                                     {::grpc::StatusCode::RESOURCE_EXHAUSTED, "rate_limited"},
                                     {::grpc::StatusCode::UNIMPLEMENTED, "not_implemented"},
                                     {::grpc::StatusCode::UNAVAILABLE, "unavailable"}}) {
    grpc_refusals_[code] = &Refusals(registry, "grpc", reason);
  }
}

void DoorMetrics::WatchRoutes(const http::Router& router) {
  AddRoute(http::kOtherRoute);
  for (const http::Route& route : router.routes()) AddRoute(route.path);
}

void DoorMetrics::AddRoute(std::string_view path) {
  const std::string label(path);
  const auto [at, added] = routes_.try_emplace(label);
  if (!added) return;
  Route& route = at->second;
  for (size_t i = 0; i < kClasses.size(); ++i) {
    route.by_class[i] =
        &registry_.AddCounter("pondpilot_http_requests_total", "HTTP requests that have ended.",
                              {{"route", label}, {"status", kClasses[i]}});
  }
  route.seconds =
      &registry_.AddHistogram("pondpilot_http_request_seconds",
                              "How long HTTP requests took, from their last byte to that of the answer.",
                              telemetry::LatencyBounds(), {{"route", label}});
  route.sent = &registry_.AddCounter("pondpilot_http_sent_bytes_total",
                                     "Bytes of the bodies of HTTP answers.", {{"route", label}});
  route.received = &registry_.AddCounter("pondpilot_http_received_bytes_total",
                                         "Bytes of the bodies of HTTP requests.", {{"route", label}});
}

void DoorMetrics::Ended(const http::Served& served) {
  const auto found = routes_.find(served.route);
  if (found == routes_.end()) return;
  const Route& route = found->second;
  route.by_class[ClassOf(served.status)]->Add();
  route.seconds->Observe(Seconds(served.took));
  route.sent->Add(served.bytes);
  route.received->Add(served.received);
  if (const auto refused = http_refusals_.find(served.status); refused != http_refusals_.end())
    refused->second->Add();
}

void DoorMetrics::Ended(std::string_view name, ::grpc::StatusCode code, std::chrono::nanoseconds took,
                        Bytes bytes) {
  const auto found = methods_.find(name);
  const Method& method = found == methods_.end() ? methods_.at(kUnknownMethod) : found->second;
  (code == ::grpc::StatusCode::OK ? method.ok : method.failed)->Add();
  method.seconds->Observe(Seconds(took));
  method.sent->Add(bytes.sent);
  method.received->Add(bytes.received);
  if (const auto refused = grpc_refusals_.find(code); refused != grpc_refusals_.end()) refused->second->Add();
}

void DoorMetrics::Ended(std::string_view name, std::string_view result, const ai::Usage& usage) {
  const auto found = providers_.find(name);
  if (found == providers_.end()) return;
  const Provider& provider = found->second;
  const auto known = provider.calls.find(result);
  (known == provider.calls.end() ? provider.calls.at("failed") : known->second)->Add();
  provider.input_tokens->Add(static_cast<uint64_t>(usage.input_tokens));
  provider.output_tokens->Add(static_cast<uint64_t>(usage.output_tokens));
}

void DoorMetrics::Retried(std::string_view name) {
  if (const auto found = providers_.find(name); found != providers_.end()) found->second.retries->Add();
}

}  // namespace pondpilot::proxy
