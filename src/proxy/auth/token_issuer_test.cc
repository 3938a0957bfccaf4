#include "proxy/auth/token_issuer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "proxy/auth/token_verifier.h"

namespace pondpilot::proxy::auth {
namespace {

const base::Secret kKey("a-key-for-tests-that-is-long-enough-for-hs256");

TEST(TokenIssuerTest, WhatItMakesIsAccepted) {
  base::ManualClock clock;
  const auto issued = TokenIssuer(kKey, clock).Issue("alice", std::chrono::minutes(1));
  ASSERT_TRUE(issued.has_value()) << issued.error().message;
  TokenVerifier verifier(kKey, clock);
  const auto principal = verifier.Verify(issued->token);
  ASSERT_TRUE(principal.has_value()) << principal.error().message;
  EXPECT_EQ(principal->user_id, "alice");
  EXPECT_EQ(principal->expires_at, issued->expires_at);
  clock.Advance(std::chrono::minutes(1));
  EXPECT_FALSE(verifier.Verify(issued->token).has_value());
}

TEST(TokenIssuerTest, RefusesNamesAndLivesThatNoVerifierWouldTake) {
  base::ManualClock clock;
  const TokenIssuer issuer(kKey, clock);
  EXPECT_FALSE(issuer.Issue("", std::chrono::hours(1)).has_value());
  EXPECT_FALSE(issuer.Issue(std::string(257, 'a'), std::chrono::hours(1)).has_value());
  EXPECT_FALSE(issuer.Issue("a", std::chrono::seconds(0)).has_value());
}

TEST(TokenIssuerTest, DemoTokensDecodeWithAnyBase64Tool) {
  base::ManualClock clock;
  const TokenIssuer issuer(kKey, clock);
  for (int i = 0; i < 50; ++i) {
    clock.Advance(std::chrono::seconds(12'345));
    const auto demo = issuer.IssueDemo();
    ASSERT_TRUE(demo.has_value());
    EXPECT_TRUE(demo->token.starts_with("eyJhbGciOiJIUzI1NiIs")) << demo->token;
    const size_t first = demo->token.find('.');
    const std::string payload = demo->token.substr(first + 1, demo->token.find('.', first + 1) - first - 1);
    EXPECT_EQ(payload.size() % 4, 0u);
    EXPECT_EQ(payload.find_first_of("-_="), std::string::npos);
    const auto claims = nlohmann::json::parse(*base::FromBase64(payload));
    EXPECT_TRUE(claims.at("demo").get<bool>());
    EXPECT_EQ(demo->expires_at - clock.WallNow(), std::chrono::hours(1));
    const auto principal = TokenVerifier(kKey, clock).Verify(demo->token);
    ASSERT_TRUE(principal.has_value()) << principal.error().message;
    EXPECT_TRUE(principal->demo);
    EXPECT_TRUE(principal->user_id.starts_with("demo-"));
  }
}

}  // namespace
}  // namespace pondpilot::proxy::auth
