#include "proxy/http/problem.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace pondpilot::proxy::http {
namespace {

std::string HeaderOf(const Response& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST(ProblemTest, SaysWhatToDoAndHidesTheInside) {
  const Response response = ToResponse(
      ToProblem({base::ErrorCode::kUnauthenticated, "No token was sent.", "from 10.0.0.1", {}}), "id-1");
  EXPECT_EQ(response.status, 401u);
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(HeaderOf(response, "WWW-Authenticate"), "Bearer");
  const auto body = nlohmann::json::parse(response.body);
  EXPECT_EQ(body["code"], "unauthenticated");
  EXPECT_EQ(body["detail"], "No token was sent.");
  EXPECT_EQ(body["request_id"], "id-1");
  EXPECT_EQ(response.body.find("10.0.0.1"), std::string::npos);
}

TEST(ProblemTest, RetryAfterIsInWholeSecondsRoundedUp) {
  const Response limited = ToResponse(
      ToProblem({base::ErrorCode::kResourceExhausted, "m", "", std::chrono::milliseconds(1200)}), "id");
  EXPECT_EQ(limited.status, 429u);
  EXPECT_EQ(HeaderOf(limited, "Retry-After"), "2");
  const Response down = ToResponse(ToProblem({base::ErrorCode::kUnavailable, "m", "", {}}), "id");
  EXPECT_EQ(HeaderOf(down, "Retry-After"), "5");
}

TEST(ProblemTest, BytesThatAreNotUtf8DoNotThrow) {
  const Response response =
      ToResponse(ToProblem({base::ErrorCode::kInvalidArgument, "\xff\xfe", "", {}}), "id");
  EXPECT_EQ(response.status, 400u);
  EXPECT_TRUE(nlohmann::json::accept(response.body));
}

}  // namespace
}  // namespace pondpilot::proxy::http
