#include "proxy/limits/token_bucket.h"

#include <gtest/gtest.h>

namespace pondpilot::proxy::limits {
namespace {

TEST(TokenBucketTest, ABurstThenTheSustainedRate) {
  base::ManualClock clock;
  const Rate rate{60, 3};
  TokenBucket bucket(rate, clock.Now());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bucket.Take(rate, clock.Now()), std::nullopt);
  EXPECT_EQ(bucket.Take(rate, clock.Now()), std::chrono::milliseconds(1000));
  clock.Advance(std::chrono::milliseconds(400));
  EXPECT_EQ(bucket.Take(rate, clock.Now()), std::chrono::milliseconds(600));
  clock.Advance(std::chrono::milliseconds(600));
  EXPECT_EQ(bucket.Take(rate, clock.Now()), std::nullopt);
}

TEST(TokenBucketTest, NeverFillsAboveItsDepth) {
  base::ManualClock clock;
  const Rate rate{60, 2};
  TokenBucket bucket(rate, clock.Now());
  clock.Advance(std::chrono::hours(10));
  EXPECT_EQ(bucket.Take(rate, clock.Now()), std::nullopt);
  EXPECT_EQ(bucket.Take(rate, clock.Now()), std::nullopt);
  EXPECT_NE(bucket.Take(rate, clock.Now()), std::nullopt);
}

}  // namespace
}  // namespace pondpilot::proxy::limits
