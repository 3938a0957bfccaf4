#include "proxy/admin/health.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <nlohmann/json.hpp>

namespace pondpilot::proxy::admin {
namespace {

class FixedSource final : public HealthSource {
 public:
  boost::asio::awaitable<HealthReport> Report() override { co_return report; }
  HealthReport report;
};

class HealthTest : public ::testing::Test {
 protected:
  http::Response Get(const std::string& path) {
    const http::Router router(HealthRoutes(source_), http::Cors({}));
    http::Request request;
    request.method = "GET";
    request.path = path;
    boost::asio::io_context io;
    auto future = boost::asio::co_spawn(io, router.Handle(request), boost::asio::use_future);
    io.run();
    return future.get();
  }
  FixedSource source_;
};

TEST_F(HealthTest, HealthIsTheDocumentedBodyToTheByte) {
  EXPECT_EQ(Get("/health").body, "{\"status\":\"healthy\"}");
}

TEST_F(HealthTest, ReadyOrTheReasonsWhyNot) {
  EXPECT_EQ(Get("/ready").body, "{\"ready\":true}");
  source_.report.not_ready = {"The Docker engine does not answer."};
  const http::Response response = Get("/ready");
  EXPECT_EQ(response.status, 503u);
  EXPECT_EQ(nlohmann::json::parse(response.body)["reasons"][0], "The Docker engine does not answer.");
}

TEST_F(HealthTest, DetailedCountsAndComponents) {
  source_.report.workers_active = 2;
  source_.report.workers_warm = 1;
  source_.report.users_queued = 4;
  source_.report.workers_spawned = 5;
  source_.report.workers_stopped = 3;
  source_.report.uptime = std::chrono::seconds(61);
  source_.report.components["launcher"] = {"ok", ""};
  source_.report.databases["mydb"] = {"unavailable", "DATABASE_URL is not set."};
  const auto body = nlohmann::json::parse(Get("/health/detailed").body);
  EXPECT_EQ(body["status"], "degraded");
  EXPECT_EQ(body["containers"],
            nlohmann::json(
                {{"active", 2}, {"warm", 1}, {"queued", 4}, {"total_spawned", 5}, {"total_stopped", 3}}));
  EXPECT_EQ(body["uptime_seconds"], 61);
  EXPECT_EQ(body["components"]["launcher"]["status"], "ok");
  EXPECT_EQ(body["components"]["databases"]["mydb"]["reason"], "DATABASE_URL is not set.");
}

}  // namespace
}  // namespace pondpilot::proxy::admin
