#include "base/text.h"

#include <gtest/gtest.h>

namespace pondpilot::base {
namespace {

TEST(TextTest, Utf8) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("Grüße, 世界 🦆"));
  EXPECT_FALSE(IsUtf8("\xff"));
  EXPECT_FALSE(IsUtf8("\xc3"));              // cut short
  EXPECT_FALSE(IsUtf8("\xc0\xaf"));          // overlong
  EXPECT_FALSE(IsUtf8("\xed\xa0\x80"));      // surrogate
  EXPECT_FALSE(IsUtf8("\xf4\x90\x80\x80"));  // above U+10FFFF
}

TEST(TextTest, CaseAndTrim) {
  EXPECT_EQ(ToLowerAscii("MyDB-Ä"), "mydb-Ä");
  EXPECT_TRUE(EqualsIgnoreCase("Bearer", "bEARER"));
  EXPECT_FALSE(EqualsIgnoreCase("Bearer", "Beare"));
  EXPECT_EQ(Trim(" \t a b \n"), "a b");
  EXPECT_EQ(Trim(" \n"), "");
}

TEST(TextTest, NearestFindsTyposAndNothingElse) {
  const std::vector<std::string> keys = {"server.port", "server.grpc_port", "containers.image"};
  EXPECT_EQ(Nearest("server.prot", keys), "server.port");
  EXPECT_EQ(Nearest("containers.imgae", keys), "containers.image");
  EXPECT_EQ(Nearest("bananas", keys), std::nullopt);
  EXPECT_EQ(Nearest("x", {}), std::nullopt);
}

}  // namespace
}  // namespace pondpilot::base
