#include "proxy/auth/call_identifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base64.h"

namespace pondpilot::proxy::auth {
namespace {

using ::testing::HasSubstr;

const base::Secret kKey("a key for identifiers");

class CallIdentifierTest : public ::testing::Test {
 protected:
  Principal Alice(std::chrono::seconds left) const {
    Principal alice;
    alice.user_id = "älice.of/wonderland";
    alice.profile = "large";
    alice.admin = true;
    alice.expires_at = clock_.WallNow() + left;
    return alice;
  }
  base::ManualClock clock_;
  CallIdentifiers identifiers_{kKey, clock_};
};

TEST_F(CallIdentifierTest, StandsForTheUserButForNoAdministrator) {
  const std::string identifier = identifiers_.Issue(Alice(std::chrono::minutes(5)));
  EXPECT_EQ(identifier.find_first_of(" \t\r\n,;\""), std::string::npos);
  const auto principal = identifiers_.Verify(identifier);
  ASSERT_TRUE(principal.has_value()) << principal.error().message;
  EXPECT_EQ(principal->user_id, "älice.of/wonderland");
  EXPECT_EQ(principal->profile, "large");
  EXPECT_FALSE(principal->demo);
  EXPECT_FALSE(principal->admin);
}

TEST_F(CallIdentifierTest, ADemoUserStaysOne) {
  Principal demo = Alice(std::chrono::minutes(5));
  demo.demo = true;
  EXPECT_TRUE(identifiers_.Verify(identifiers_.Issue(demo))->demo);
}

TEST_F(CallIdentifierTest, EndsWithTheToken) {
  const std::string identifier = identifiers_.Issue(Alice(std::chrono::seconds(60)));
  clock_.Advance(std::chrono::seconds(59));
  EXPECT_TRUE(identifiers_.Verify(identifier).has_value());
  clock_.Advance(std::chrono::seconds(1));
  const auto late = identifiers_.Verify(identifier);
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, base::ErrorCode::kUnauthenticated);
  EXPECT_THAT(late.error().message, HasSubstr("expired"));
  // Beside a token it says whose it is all the same.
  EXPECT_EQ(identifiers_.UserOf(identifier).value_or(""), "älice.of/wonderland");
}

TEST_F(CallIdentifierTest, LivesForAnHourAtMost) {
  const std::string identifier = identifiers_.Issue(Alice(std::chrono::hours(24 * 365)));
  clock_.Advance(CallIdentifiers::kLife - std::chrono::seconds(1));
  EXPECT_TRUE(identifiers_.Verify(identifier).has_value());
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_FALSE(identifiers_.Verify(identifier).has_value());
}

TEST_F(CallIdentifierTest, AChangeOfAnyCharacterIsSeen) {
  const std::string identifier = identifiers_.Issue(Alice(std::chrono::minutes(5)));
  for (size_t i = 0; i < identifier.size(); ++i) {
    std::string forged = identifier;
    forged[i] = forged[i] == 'A' ? 'B' : 'A';
    const auto refused = identifiers_.Verify(forged);
    ASSERT_FALSE(refused.has_value()) << i;
    EXPECT_EQ(refused.error().code, base::ErrorCode::kUnauthenticated);
    EXPECT_EQ(refused.error().message.find(identifier), std::string::npos);
    EXPECT_FALSE(identifiers_.UserOf(forged).has_value());
  }
}

TEST_F(CallIdentifierTest, WhatWasMadeElsewhereIsRefused) {
  const CallIdentifiers others(base::Secret("another key"), clock_);
  const std::string payload =
      base::ToBase64Url(R"({"user":"alice","demo":false,"profile":"","end":4000000000})");
  for (const std::string& text :
       {std::string(), std::string("."), payload, payload + ".", payload + "." + std::string(64, '0'),
        payload + "." + base::HmacSha256Hex(base::Secret(""), payload), std::string(1 << 16, 'a') + ".b",
        others.Issue(Alice(std::chrono::minutes(5))), std::string("alice")}) {
    EXPECT_FALSE(identifiers_.Verify(text).has_value()) << text.substr(0, 100);
  }
}

}  // namespace
}  // namespace pondpilot::proxy::auth
