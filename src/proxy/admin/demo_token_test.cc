#include "proxy/admin/demo_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <nlohmann/json.hpp>

#include "proxy/auth/token_verifier.h"

namespace pondpilot::proxy::admin {
namespace {

const base::Secret kKey("a-key-for-tests-that-is-long-enough-for-hs256");

class DemoTokenTest : public ::testing::Test {
 protected:
  http::Response Post(bool enabled, const std::string& address = "192.0.2.1") {
    const http::Router router({DemoTokenRoute(issuer_, limiter_, enabled)}, http::Cors({}));
    http::Request request;
    request.method = "POST";
    request.path = "/auth/demo-token";
    request.peer_address = address;
    boost::asio::io_context io;
    auto future = boost::asio::co_spawn(io, router.Handle(request), boost::asio::use_future);
    io.run();
    return future.get();
  }
  base::ManualClock clock_{std::chrono::sys_days(std::chrono::year(2026) / 1 / 26) + std::chrono::hours(11)};
  auth::TokenIssuer issuer_{kKey, clock_};
  limits::RateLimiter limiter_{{10, 2}, "demo tokens", clock_};
};

TEST_F(DemoTokenTest, GivesATokenThatWorksAndSaysWhenItEnds) {
  const http::Response response = Post(true);
  ASSERT_EQ(response.status, 200u);
  const auto body = nlohmann::json::parse(response.body);
  EXPECT_EQ(body["expires_at"], "2026-01-26T12:00:00Z");
  EXPECT_TRUE(auth::TokenVerifier(kKey, clock_).Verify(body["token"].get<std::string>()).has_value());
}

TEST_F(DemoTokenTest, IsLimitedPerAddress) {
  EXPECT_EQ(Post(true).status, 200u);
  EXPECT_EQ(Post(true).status, 200u);
  EXPECT_EQ(Post(true).status, 429u);
  EXPECT_EQ(Post(true, "192.0.2.2").status, 200u);
}

TEST_F(DemoTokenTest, OneNetworkIsOneAddress) {
  EXPECT_EQ(Post(true, "2001:db8::1").status, 200u);
  EXPECT_EQ(Post(true, "2001:db8::2").status, 200u);
  EXPECT_EQ(Post(true, "2001:db8::3:4:5:6").status, 429u);
  EXPECT_EQ(Post(true, "2001:db8:0:1::1").status, 200u);
  EXPECT_EQ(Post(true, "::ffff:192.0.2.9").status, 200u);
  EXPECT_EQ(Post(true, "192.0.2.9").status, 200u);
  EXPECT_EQ(Post(true, "::ffff:192.0.2.9").status, 429u);
}

TEST_F(DemoTokenTest, CanBeSwitchedOff) {
  const http::Response response = Post(false);
  EXPECT_EQ(response.status, 403u);
  EXPECT_THAT(response.body, ::testing::HasSubstr("demo_tokens_off"));
}

}  // namespace
}  // namespace pondpilot::proxy::admin
