#include "base/hex.h"

#include <gtest/gtest.h>

namespace pondpilot::base {
namespace {

TEST(HexTest, RoundTripsEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(FromHex(ToHex(all)), all);
  EXPECT_EQ(ToHex(std::string_view("\0\xff", 2)), "00ff");
}

TEST(HexTest, RefusesWhatIsNotHex) {
  EXPECT_EQ(FromHex("abc"), std::nullopt);
  EXPECT_EQ(FromHex("zz"), std::nullopt);
  EXPECT_EQ(FromHex("aF"), "\xaf");
  EXPECT_EQ(FromHex(""), "");
}

}  // namespace
}  // namespace pondpilot::base
