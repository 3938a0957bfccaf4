#include "proxy/door_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pondpilot::proxy {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

class DoorMetricsTest : public testing::Test {
 protected:
  void SetUp() override { metrics_.WatchRoutes(router_); }

  telemetry::Registry registry_;
  DoorMetrics metrics_{registry_, "1.2.3"};
  http::Router router_{{{"GET", "/a", {}}, {"POST", "/a", {}}}, http::Cors({})};
};

TEST_F(DoorMetricsTest, Requests) {
  metrics_.Ended(http::Served{"/a", 200, milliseconds(20), 100, 7});
  metrics_.Ended(http::Served{"/a", 429, milliseconds(1), 10});
  metrics_.Ended(http::Served{"/a", http::kClientGone, milliseconds(1), 0});
  metrics_.Ended(http::Served{router_.LabelOf("/alice/secret"), 404, milliseconds(1), 5});
  const std::string text = registry_.Render();
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_http_requests_total{route="/a",status="2xx"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_http_requests_total{route="/a",status="4xx"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_http_requests_total{route="/a",status="client_gone"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_http_requests_total{route="other",status="4xx"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_http_request_seconds_count{route="/a"} 3)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_http_sent_bytes_total{route="/a"} 110)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_http_received_bytes_total{route="/a"} 7)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_refusals_total{door="http",reason="rate_limited"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_build_info{version="1.2.3"} 1)"));
  EXPECT_THAT(text, Not(HasSubstr("alice")));
}

TEST_F(DoorMetricsTest, Calls) {
  metrics_.Ended("DoGet", ::grpc::StatusCode::OK, milliseconds(5), {.sent = 1000, .received = 5});
  metrics_.Ended("DoGet", ::grpc::StatusCode::UNAUTHENTICATED, milliseconds(5), {});
  metrics_.Ended("", ::grpc::StatusCode::UNIMPLEMENTED, milliseconds(5), {});
  const std::string text = registry_.Render();
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_flight_calls_total{method="DoGet",result="ok"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_flight_calls_total{method="unknown",result="failed"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_flight_sent_bytes_total{method="DoGet"} 1000)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_flight_received_bytes_total{method="DoGet"} 5)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_refusals_total{door="grpc",reason="unauthenticated"} 1)"));
}

TEST_F(DoorMetricsTest, Tokens) {
  metrics_.Ended("claude", "ok", ai::Usage{12, 40});
  metrics_.Ended("openai", "ai_busy", ai::Usage{});
  metrics_.Retried("openai");
  const std::string text = registry_.Render();
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_ai_tokens_total{provider="claude",kind="output"} 40)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_ai_calls_total{provider="openai",result="failed"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(pondpilot_ai_retries_total{provider="openai"} 1)"));
}

}  // namespace
}  // namespace pondpilot::proxy
