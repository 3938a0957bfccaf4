#include "proxy/limits/rate_limiter.h"

#include <gtest/gtest.h>
#include <malloc.h>

namespace pondpilot::proxy::limits {
namespace {

TEST(RateLimiterTest, KeysDoNotShareABucket) {
  base::ManualClock clock;
  RateLimiter limiter({60, 1}, "requests", clock);
  EXPECT_TRUE(limiter.Take("alice").has_value());
  EXPECT_TRUE(limiter.Take("bob").has_value());
  const auto refused = limiter.Take("alice");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, base::ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().retry_after, std::chrono::milliseconds(1000));
  EXPECT_EQ(refused.error().message, "Rate limit exceeded: too many requests. Try again in 1 s.");
  clock.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(limiter.Take("alice").has_value());
}

TEST(RateLimiterTest, InventedKeysCostNoMemory) {
  base::ManualClock clock;
  RateLimiter limiter({60, 1}, "requests", clock, 1000);
  EXPECT_TRUE(limiter.Take("alice").has_value());
  for (int i = 0; i < 1'000'000; ++i) {
    EXPECT_TRUE(limiter.Take("invented-" + std::to_string(i)).has_value());
    // Whoever is active is not forgotten: alice's bucket stays empty.
    if (i % 500 == 0) {
      EXPECT_FALSE(limiter.Take("alice").has_value());
    }
  }
  EXPECT_EQ(limiter.keys(), 1000u);
}

TEST(RateLimiterTest, AMillionInventedKeysTakeNoMoreThanAHundredThousand) {
  base::ManualClock clock;
  RateLimiter limiter({60, 1}, "requests", clock);
  const auto invent = [&](int from, int to) {
    for (int i = from; i < to; ++i) (void)limiter.Take("invented-user-with-a-long-name-" + std::to_string(i));
    return ::mallinfo2().uordblks;
  };
  const size_t full = invent(0, 100'000);
  EXPECT_LT(invent(100'000, 1'000'000), full + (full >> 4));
}

TEST(RateLimiterTest, TellsWhereAKeyStands) {
  base::ManualClock clock;
  RateLimiter limiter({60, 3}, "requests", clock);
  for (int left = 2; left >= 0; --left) {
    const Answer answer = limiter.Ask("alice");
    EXPECT_TRUE(answer.taken);
    EXPECT_EQ(answer.standing.limit, 3);
    EXPECT_EQ(answer.standing.remaining, left);
    EXPECT_EQ(answer.standing.until_full, std::chrono::seconds(3 - left));
  }
  clock.Advance(std::chrono::milliseconds(500));
  const Answer refused = limiter.Ask("alice");
  EXPECT_FALSE(refused.taken);
  EXPECT_EQ(refused.standing.remaining, 0);
  EXPECT_EQ(refused.standing.until_full, std::chrono::seconds(3));
}

TEST(RateLimiterTest, ANewRateHoldsAtOnce) {
  base::ManualClock clock;
  RateLimiter limiter({60, 5}, "requests", clock);
  EXPECT_TRUE(limiter.Take("a"));
  limiter.SetRate({60, 1});
  EXPECT_TRUE(limiter.Take("a"));
  EXPECT_FALSE(limiter.Take("a")) << "four more were left of the old burst";
  limiter.SetRate({6000, 1});
  clock.Advance(std::chrono::milliseconds(10));
  EXPECT_TRUE(limiter.Take("a"));
}

}  // namespace
}  // namespace pondpilot::proxy::limits
