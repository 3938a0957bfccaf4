#include "proxy/auth/token_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/base64.h"
#include "base/hex.h"
#include "proxy/auth/token_issuer.h"

namespace pondpilot::proxy::auth {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const base::Secret kKey("a-key-for-tests-that-is-long-enough-for-hs256");

// A signer of the test's own, so that the verifier isn't only held against the issuer.
std::string Sign(const std::string& header, const std::string& claims, const base::Secret& key = kKey) {
  const std::string input = base::ToBase64Url(header) + "." + base::ToBase64Url(claims);
  return input + "." + base::ToBase64Url(*base::FromHex(base::HmacSha256Hex(key, input)));
}

class TokenVerifierTest : public ::testing::Test {
 protected:
  std::string Claims(const std::string& more = "") const {
    return R"({"sub":"alice","exp":)" + std::to_string(Now() + 600) + more + "}";
  }
  int64_t Now() const {
    return std::chrono::duration_cast<std::chrono::seconds>(clock_.WallNow().time_since_epoch()).count();
  }
  std::string Refusal(const std::string& token) const {
    const auto result = verifier_.Verify(token);
    EXPECT_FALSE(result.has_value()) << token;
    if (result) return "";
    EXPECT_EQ(result.error().code, base::ErrorCode::kUnauthenticated);
    return result.error().message;
  }
  std::string RefusedClaims(const std::string& claims) const { return Refusal(Sign(kHeader, claims)); }

  const std::string kHeader = R"({"alg":"HS256","typ":"JWT"})";
  base::ManualClock clock_;
  TokenVerifier verifier_{kKey, clock_};
};

TEST_F(TokenVerifierTest, AcceptsAGoodToken) {
  const auto principal = verifier_.Verify(Sign(kHeader, Claims()));
  ASSERT_TRUE(principal.has_value()) << principal.error().message;
  EXPECT_EQ(principal->user_id, "alice");
  EXPECT_FALSE(principal->demo);
}

TEST_F(TokenVerifierTest, AcceptsUnicodeNamesAndTimesThatAreHonoured) {
  const auto principal = verifier_.Verify(Sign(
      kHeader, R"({"sub":"Zoë 世界","exp":)" + std::to_string(Now() + 1) + R"(,"nbf":)" +
                   std::to_string(Now() + 29) + R"(,"iat":)" + std::to_string(Now()) + R"(.5,"demo":true})"));
  ASSERT_TRUE(principal.has_value()) << principal.error().message;
  EXPECT_EQ(principal->user_id, "Zoë 世界");
  EXPECT_TRUE(principal->demo);
}

TEST_F(TokenVerifierTest, AnExpiryBeyondTheClocksOwnTimeIsFarAway) {
  for (const char* far : {"9223372036", "9223372037", "19000000000", "253402300799"}) {
    const auto principal =
        verifier_.Verify(Sign(kHeader, std::string(R"({"sub":"alice","exp":)") + far + "}"));
    ASSERT_TRUE(principal.has_value()) << far << ": " << principal.error().message;
    EXPECT_GT(principal->expires_at, base::Clock::System().WallNow()) << far;
  }
}

TEST_F(TokenVerifierTest, SaysWhichRuleOfFormWasBroken) {
  EXPECT_THAT(Refusal(""), HasSubstr("No token was sent"));
  EXPECT_THAT(Refusal("abc"), HasSubstr("three parts"));
  EXPECT_THAT(Refusal("a.b.c.d"), HasSubstr("three parts"));
  EXPECT_THAT(Refusal("!.e30.AA"), HasSubstr("header is not base64url"));
  EXPECT_THAT(Refusal("e30.e30."), HasSubstr("no algorithm"));
  EXPECT_THAT(Refusal("e30.e30.=="), HasSubstr("signature is not base64url"));
  EXPECT_THAT(Refusal("W10.e30.AA"), HasSubstr("header is not"));
  EXPECT_THAT(Refusal(std::string(70'000, 'a')), HasSubstr("longer than"));
  EXPECT_THAT(Refusal(std::string("a.b.c\0d", 7)), HasSubstr("control characters"));
}

TEST_F(TokenVerifierTest, RefusesOtherAlgorithms) {
  EXPECT_THAT(Refusal(Sign(R"({"alg":"none"})", Claims())), HasSubstr("alg none"));
  EXPECT_THAT(Refusal(base::ToBase64Url(R"({"alg":"NoNe"})") + "." + base::ToBase64Url(Claims()) + "."),
              HasSubstr("alg none"));
  for (const char* alg : {"HS384", "HS512", "RS256", "ES256", "hs256", ""}) {
    EXPECT_THAT(Refusal(Sign(std::string(R"({"alg":")") + alg + "\"}", Claims())),
                HasSubstr("another algorithm"))
        << alg;
  }
  EXPECT_THAT(Refusal(Sign(R"({"alg":7})", Claims())), HasSubstr("no algorithm"));
  EXPECT_THAT(Refusal(Sign(R"({"alg":"none","alg":"HS256"})", Claims())), HasSubstr("header is not"));
  EXPECT_THAT(Refusal(Sign(R"({"alg":"HS256","crit":["exp"]})", Claims())), HasSubstr("crit"));
}

TEST_F(TokenVerifierTest, RefusesABadSignature) {
  std::string token = Sign(kHeader, Claims());
  EXPECT_THAT(Refusal(Sign(kHeader, Claims(), base::Secret("another-key-that-is-also-long-enough-for-it"))),
              HasSubstr("signature does not match"));
  token[token.size() - 5] = token[token.size() - 5] == 'A' ? 'B' : 'A';
  EXPECT_THAT(Refusal(token), HasSubstr("signature does not match"));
  const std::string unsigned_token = token.substr(0, token.rfind('.') + 1);
  EXPECT_THAT(Refusal(unsigned_token), HasSubstr("signature does not match"));
}

TEST_F(TokenVerifierTest, RefusesBadTimes) {
  const std::string now = std::to_string(Now());
  EXPECT_THAT(RefusedClaims(R"({"sub":"a"})"), HasSubstr("never expires"));
  EXPECT_THAT(RefusedClaims(R"({"sub":"a","exp":"soon"})"), HasSubstr("not a time"));
  EXPECT_THAT(RefusedClaims(R"({"sub":"a","exp":null})"), HasSubstr("not a time"));
  EXPECT_THAT(RefusedClaims(R"({"sub":"a","exp":1e300})"), HasSubstr("not a time"));
  EXPECT_THAT(RefusedClaims(R"({"sub":"a","exp":-5})"), HasSubstr("not a time"));
  EXPECT_THAT(RefusedClaims(R"({"sub":"a","exp":)" + now + "}"), HasSubstr("has expired"));
  EXPECT_THAT(RefusedClaims(Claims(R"(,"nbf":)" + std::to_string(Now() + 60))), HasSubstr("nbf"));
  EXPECT_THAT(RefusedClaims(Claims(R"(,"iat":)" + std::to_string(Now() + 60))), HasSubstr("iat"));
  EXPECT_THAT(RefusedClaims(Claims(R"(,"iat":"x")")), HasSubstr("iat"));
}

TEST_F(TokenVerifierTest, RefusesBadSubjects) {
  const std::string exp = R"("exp":)" + std::to_string(Now() + 60);
  EXPECT_THAT(RefusedClaims("{" + exp + "}"), HasSubstr("no sub"));
  EXPECT_THAT(RefusedClaims("{" + exp + R"(,"sub":""})"), HasSubstr("empty"));
  EXPECT_THAT(RefusedClaims("{" + exp + R"(,"sub":7})"), HasSubstr("not a string"));
  EXPECT_THAT(RefusedClaims("{" + exp + R"(,"sub":")" + std::string(257, 'a') + "\"}"),
              HasSubstr("longer than 256"));
  EXPECT_THAT(RefusedClaims("{" + exp + R"(,"sub":"a\nb"})"), HasSubstr("characters"));
  EXPECT_THAT(RefusedClaims("{" + exp + R"(,"sub":"a","sub":"root"})"), HasSubstr("claims are not"));
  EXPECT_THAT(RefusedClaims("{" + exp + R"(,"sub":"a","demo":"yes"})"), HasSubstr("demo"));
  EXPECT_THAT(RefusedClaims("[]"), HasSubstr("claims are not"));
}

TEST_F(TokenVerifierTest, ACachedTokenDoesNotOutliveItsExpiry) {
  const std::string token = Sign(kHeader, Claims());
  ASSERT_TRUE(verifier_.Verify(token).has_value());
  clock_.Advance(std::chrono::seconds(599));
  ASSERT_TRUE(verifier_.Verify(token).has_value());
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_THAT(Refusal(token), HasSubstr("has expired"));
}

TEST_F(TokenVerifierTest, TheCacheIsBounded) {
  for (int i = 0; i < 10'050; ++i) {
    const auto token =
        Sign(kHeader, R"({"sub":"u)" + std::to_string(i) + R"(","exp":)" + std::to_string(Now() + 60) + "}");
    ASSERT_TRUE(verifier_.Verify(token).has_value());
  }
}

TEST_F(TokenVerifierTest, AuthorizationHeaders) {
  const std::string token = Sign(kHeader, Claims());
  EXPECT_TRUE(verifier_.VerifyAuthorization("Bearer " + token).has_value());
  EXPECT_TRUE(verifier_.VerifyAuthorization("bearer  " + token + " ").has_value());
  EXPECT_EQ(TokenFromAuthorization("Basic YW55OmEuYi5j").value(), "a.b.c");
  EXPECT_EQ(TokenFromAuthorization("Basic YTpiOmM=").value(), "b:c");
  for (const std::string header : {"", " ", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic YW55",
                                   "Basic YW55Og==", "Digest x", "Bearerx"}) {
    const auto result = verifier_.VerifyAuthorization(header);
    ASSERT_FALSE(result.has_value()) << header;
    EXPECT_EQ(result.error().code, base::ErrorCode::kUnauthenticated);
  }
}

TEST_F(TokenVerifierTest, NoMutationPassesAndNoRefusalEchoesTheToken) {
  const std::string good = Sign(kHeader, Claims());
  std::mt19937 random(20260201);
  for (int i = 0; i < 20'000; ++i) {
    std::string token = good;
    const size_t at = random() % token.size();
    switch (random() % 3) {
      case 0:
        token[at] = static_cast<char>(random());
        break;
      case 1:
        token.erase(at, 1 + random() % 8);
        break;
      default:
        token.insert(at, 1, static_cast<char>(random()));
    }
    if (token == good) continue;
    const auto result = verifier_.Verify(token);
    ASSERT_FALSE(result.has_value()) << token;
    ASSERT_THAT(result.error().message, Not(HasSubstr(good.substr(0, 20))));
  }
}

}  // namespace
}  // namespace pondpilot::proxy::auth
