#include "base/secret.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace pondpilot::base {
namespace {

static_assert(!std::is_convertible_v<Secret, std::string>, "a secret must not turn into text by accident");

TEST(SecretTest, CopiesAndMovesKeepTheText) {
  Secret a("a password that is longer than the small buffer");
  Secret b = a;
  EXPECT_EQ(b.Reveal(), a.Reveal());
  Secret c = std::move(a);
  EXPECT_EQ(c.Reveal(), b.Reveal());
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that it is empty is the point.
  b = Secret("x");
  EXPECT_EQ(b.Reveal(), "x");
}

TEST(SecretTest, ConstantTimeEqualsComparesLengthAndBytes) {
  EXPECT_TRUE(ConstantTimeEquals("", ""));
  EXPECT_TRUE(ConstantTimeEquals("abc", "abc"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "abd"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "abcd"));
}

// Vectors: FIPS 180-2 "abc"; RFC 4231 test case 2.
TEST(SecretTest, DigestsMatchPublishedVectors) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HmacSha256Hex(Secret("Jefe"), "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(SecretTest, RandomHexHasTheAskedLengthAndDiffers) {
  EXPECT_EQ(RandomHex(16).size(), 32u);
  EXPECT_NE(RandomHex(16), RandomHex(16));
}

}  // namespace
}  // namespace pondpilot::base
