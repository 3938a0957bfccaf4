#include "proxy/admin/operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "proxy/auth/token_issuer.h"

namespace pondpilot::proxy::admin {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

class FakeSource final : public OperatorSource {
 public:
  std::vector<WorkerRow> Workers() override { return rows; }
  bool StopWorker(const std::string& worker_id) override {
    stopped = worker_id;
    return worker_id == "w1";
  }
  bool Drain(std::chrono::milliseconds grace) override {
    drained = grace;
    return !draining;
  }
  std::vector<WorkerRow> rows;
  std::string stopped;
  std::chrono::milliseconds drained{-1};
  bool draining = false;
};

class OperatorTest : public ::testing::Test {
 protected:
  static constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";

  std::string Token(bool admin) const {
    const auth::TokenIssuer issuer(base::Secret(kSecret), base::Clock::System());
    return issuer.Issue("olga", seconds(60), {.admin = admin})->token;
  }

  http::Response Ask(const std::string& method, const std::string& path, const std::string& query = "",
                     const std::string& body = "", std::optional<std::string> token = std::nullopt) {
    http::Request request;
    request.method = method;
    request.path = path;
    request.query = query;
    request.body = body;
    request.headers.set("Authorization", "Bearer " + token.value_or(Token(true)));
    boost::asio::io_context context;
    auto future = boost::asio::co_spawn(context, router_.Handle(request), boost::asio::use_future);
    context.run();
    return future.get();
  }

  FakeSource source_;
  telemetry::Registry metrics_;
  const auth::TokenVerifier verifier_{base::Secret(kSecret), base::Clock::System()};
  limits::RateLimiter strangers_{{}, "requests", base::Clock::System()};
  const access::Gate gate_{verifier_, strangers_, [](const auth::Principal&) { return limits::Answer{}; }};
  const http::Router router_{OperatorRoutes(source_, gate_, metrics_), http::Cors({})};
};

TEST_F(OperatorTest, NobodyWithoutTheClaimGetsAnything) {
  const std::pair<const char*, const char*> all[] = {
      {"GET", "/admin/workers"}, {"DELETE", "/admin/workers"}, {"POST", "/admin/drain"}, {"GET", "/metrics"}};
  for (const auto& [method, path] : all) {
    EXPECT_EQ(Ask(method, path, "worker_id=w1", "", Token(false)).status, 403u) << path;
    EXPECT_EQ(Ask(method, path, "worker_id=w1", "", "").status, 401u) << path;
    EXPECT_EQ(Ask(method, path, "worker_id=w1", "", "nonsense").status, 401u) << path;
  }
  EXPECT_EQ(source_.stopped, "");
  EXPECT_EQ(source_.drained.count(), -1);
}

TEST_F(OperatorTest, WorkersAreListed) {
  WorkerRow row;
  row.worker_id = "w1";
  row.user_id = "alice";
  row.state = "ready";
  row.profile = "large";
  row.calls = 2;
  row.memory_bytes = 1 << 20;
  row.cpu = std::chrono::milliseconds(12);
  source_.rows = {row, {}};
  const auto response = Ask("GET", "/admin/workers");
  ASSERT_EQ(response.status, 200u) << response.body;
  const auto workers = nlohmann::json::parse(response.body)["workers"];
  ASSERT_EQ(workers.size(), 2u);
  EXPECT_EQ(workers[0]["user_id"], "alice");
  EXPECT_EQ(workers[0]["profile"], "large");
  EXPECT_EQ(workers[0]["calls"], 2);
  EXPECT_EQ(workers[0]["memory_bytes"], 1 << 20);
  EXPECT_EQ(workers[0]["cpu_ms"], 12);
  EXPECT_TRUE(workers[1]["user_id"].is_null());
}

TEST_F(OperatorTest, AWorkerIsStoppedByItsId) {
  EXPECT_EQ(Ask("DELETE", "/admin/workers", "worker_id=w1").status, 202u);
  EXPECT_EQ(source_.stopped, "w1");
  EXPECT_EQ(Ask("DELETE", "/admin/workers", "worker_id=w2").status, 404u);
  for (const char* query : {"", "worker_id", "worker_id=", "id=w1", "worker_id=w1&worker_id=w1", "%zz"}) {
    const auto response = Ask("DELETE", "/admin/workers", query);
    EXPECT_EQ(response.status, 400u) << query;
    EXPECT_THAT(response.body, HasSubstr("worker_id"));
  }
}

TEST_F(OperatorTest, ADrainHasAGraceWithinBounds) {
  EXPECT_EQ(Ask("POST", "/admin/drain").status, 202u);
  EXPECT_EQ(source_.drained, seconds(30));
  EXPECT_EQ(Ask("POST", "/admin/drain", "", R"({"grace_seconds":0})").status, 202u);
  EXPECT_EQ(source_.drained, seconds(0));
  for (const char* body : {"5", "[]", R"({"grace_seconds":-1})", R"({"grace_seconds":3601})", "{",
                           R"({"grace_seconds":1.5})", R"({"grace":1})", R"({"grace_seconds":"1"})"}) {
    EXPECT_EQ(Ask("POST", "/admin/drain", "", body).status, 400u) << body;
  }
  EXPECT_EQ(source_.drained, seconds(0));
  source_.draining = true;
  EXPECT_EQ(Ask("POST", "/admin/drain").status, 409u);
}

TEST_F(OperatorTest, MetricsAreText) {
  metrics_.AddCounter("x_total", "X.").Add(7);
  const auto response = Ask("GET", "/metrics");
  EXPECT_EQ(response.status, 200u);
  EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(response.body, HasSubstr("x_total 7\n"));
}

}  // namespace
}  // namespace pondpilot::proxy::admin
