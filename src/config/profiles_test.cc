#include "config/profiles.h"

#include <gtest/gtest.h>

namespace pondpilot::config {
namespace {

TEST(ProfilesTest, ANameAndTwoLimits) {
  const auto profile = ParseProfile("large-1:2g:1.5");
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->name, "large-1");
  EXPECT_EQ(profile->memory_bytes, 2ull << 30);
  EXPECT_EQ(profile->cpu_cores, 1.5);
}

TEST(ProfilesTest, AnythingElseIsNone) {
  for (const char* text : {"", "large", "large:2g", ":2g:1", "large:2g:1:1", "large::1",
                           "large:2g:", "la rge:2g:1", "large:2x:1", "large:2g:one", "large:1m:1",
                           "large:2g:0", "large:2000g:1", "large:2g:300", "large:-2g:1", "large: 2g:1"}) {
    EXPECT_FALSE(ParseProfile(text)) << text;
  }
  EXPECT_FALSE(ParseProfile(std::string(65, 'x') + ":2g:1"));
}

}  // namespace
}  // namespace pondpilot::config
