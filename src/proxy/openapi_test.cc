// The description of the routes against the routes themselves.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "proxy/admin/openapi.h"
#include "proxy/routes.h"

namespace pondpilot::proxy {
namespace {

using nlohmann::json;

// Nothing is asked of these: routes are made, not called.
class NoHealth final : public admin::HealthSource {
 public:
  boost::asio::awaitable<admin::HealthReport> Report() override { co_return admin::HealthReport{}; }
};
class NoOperators final : public admin::OperatorSource {
 public:
  std::vector<admin::WorkerRow> Workers() override { return {}; }
  bool StopWorker(const std::string&) override { return false; }
  bool Drain(std::chrono::milliseconds) override { return false; }
};

std::set<std::string> Routed() {
  const base::Clock& clock = base::Clock::System();
  const base::Secret key("a-key-for-tests-that-is-long-enough-for-hs256");
  const auth::TokenVerifier verifier(key, clock);
  const auth::TokenIssuer issuer(key, clock);
  limits::RateLimiter limiter({}, "requests", clock);
  const access::Gate gate(verifier, limiter, [](const auth::Principal&) { return limits::Answer{}; });
  telemetry::Registry metrics;
  NoHealth health;
  NoOperators operators;
  std::set<std::string> routes;
  for (const http::Route& route : AllRoutes({.gate = gate,
                                             .health = health,
                                             .operators = operators,
                                             .metrics = metrics,
                                             .issuer = issuer,
                                             .demo_token_limit = limiter,
                                             .sql = {&gate, {nullptr, &clock, nullptr, nullptr}, {}},
                                             .quack = {&gate, nullptr, &clock, nullptr, nullptr},
                                             .ai = {.gate = &gate,
                                                    .clock = &clock,
                                                    .settings = {},
                                                    .waits = {},
                                                    .catalog = {},
                                                    .offload = {}}})) {
    routes.insert(route.method + " " + route.path);
  }
  return routes;
}

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

TEST(OpenApiTest, DescribesExactlyTheRoutesThatThereAre) {
  const json document = json::parse(admin::kOpenApi);
  std::set<std::string> described;
  for (const auto& [path, methods] : document.at("paths").items()) {
    for (const auto& [method, operation] : methods.items()) described.insert(Upper(method) + " " + path);
  }
  EXPECT_EQ(described, Routed());
}

void ExpectResolved(const json& node, const json& document) {
  if (node.is_object() && node.contains("$ref")) {
    const std::string target = node.at("$ref").get<std::string>();
    ASSERT_TRUE(target.starts_with("#/")) << target;
    EXPECT_TRUE(document.contains(json::json_pointer(target.substr(1)))) << target;
  }
  if (!node.is_structured()) return;
  for (const json& child : node) ExpectResolved(child, document);
}

TEST(OpenApiTest, NamesOnlyWhatItHas) {
  const json document = json::parse(admin::kOpenApi);
  EXPECT_EQ(document.at("openapi"), "3.1.0");
  ExpectResolved(document, document);
}

}  // namespace
}  // namespace pondpilot::proxy
