#include "worker/engine/like.h"

#include <gtest/gtest.h>

namespace pondpilot::worker::engine {
namespace {

TEST(Like, MatchesAsSqlDoes) {
  EXPECT_TRUE(IsLike("", ""));
  EXPECT_TRUE(IsLike("", "%"));
  EXPECT_FALSE(IsLike("", "_"));
  EXPECT_FALSE(IsLike("a", ""));
  EXPECT_TRUE(IsLike("orders", "ord%"));
  EXPECT_TRUE(IsLike("orders", "%ers"));
  EXPECT_TRUE(IsLike("orders", "o%r%s"));
  EXPECT_FALSE(IsLike("orders", "o%x%s"));
  EXPECT_FALSE(IsLike("Orders", "orders"));
  EXPECT_TRUE(IsLike("aXbXc", "%X_"));
  EXPECT_TRUE(IsLike("mississippi", "%iss%ip%"));
}

TEST(Like, AnUnderscoreIsOneCharacterAndCanBeEscaped) {
  EXPECT_TRUE(IsLike("größe", "gr__e"));
  EXPECT_FALSE(IsLike("größe", "gr_e"));
  EXPECT_TRUE(IsLike("a_b", "a\\_b"));
  EXPECT_FALSE(IsLike("axb", "a\\_b"));
  EXPECT_TRUE(IsLike("100%", "100\\%"));
  EXPECT_FALSE(IsLike("1000", "100\\%"));
  EXPECT_TRUE(IsLike("a\\", "a\\\\"));
}

TEST(Like, HostilePatternsTakeNoTime) {
  std::string pattern;
  for (int i = 0; i < 2000; ++i) pattern += "%a";
  EXPECT_FALSE(IsLike(std::string(1000, 'a'), pattern + "b"));
}

}  // namespace
}  // namespace pondpilot::worker::engine
