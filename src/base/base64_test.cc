#include "base/base64.h"

#include <gtest/gtest.h>

namespace pondpilot::base {
namespace {

// RFC 4648 section 10.
TEST(Base64Test, PublishedVectors) {
  EXPECT_EQ(ToBase64Url(""), "");
  EXPECT_EQ(ToBase64Url("f"), "Zg");
  EXPECT_EQ(ToBase64Url("fo"), "Zm8");
  EXPECT_EQ(ToBase64Url("foobar"), "Zm9vYmFy");
  EXPECT_EQ(FromBase64Url("Zm9vYg"), "foob");
  EXPECT_EQ(FromBase64("Zm9vYg=="), "foob");
  EXPECT_EQ(FromBase64("Zm9vYg"), "foob");
}

TEST(Base64Test, RoundTripsEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) {
    all.push_back(static_cast<char>(i));
    EXPECT_EQ(FromBase64Url(ToBase64Url(all)), all);
  }
}

TEST(Base64Test, RefusesWhatIsNotBase64) {
  EXPECT_EQ(FromBase64Url("Zm9v!"), std::nullopt);
  EXPECT_EQ(FromBase64Url("Zg=="), std::nullopt);  // no padding in JWTs
  EXPECT_EQ(FromBase64Url("Z"), std::nullopt);
  EXPECT_EQ(FromBase64Url("Zh"), std::nullopt);  // stray bits
  EXPECT_EQ(FromBase64Url("+/+/"), std::nullopt);
  EXPECT_EQ(FromBase64("-_-_"), std::nullopt);
  EXPECT_EQ(FromBase64("===="), std::nullopt);
}

}  // namespace
}  // namespace pondpilot::base
