#include "proxy/budgets.h"

#include <gtest/gtest.h>

namespace pondpilot::proxy {
namespace {

auth::Principal User(const char* name, bool demo) {
  auth::Principal principal;
  principal.user_id = name;
  principal.demo = demo;
  return principal;
}

int Admitted(Budgets& budgets, const auth::Principal& who) {
  int admitted = 0;
  while (budgets.Admit(who).taken) ++admitted;
  return admitted;
}

TEST(BudgetsTest, ADemoUserGetsATenthOrWhatIsSaid) {
  const base::ManualClock clock;
  Budgets::RateLimit rate;
  rate.burst_size = 200;
  Budgets budgets(rate, {}, clock);
  EXPECT_EQ(Admitted(budgets, User("alice", false)), 200);
  EXPECT_EQ(Admitted(budgets, User("demo-1", true)), 20);
  rate.demo_burst_size = 5;
  budgets.SetRate(rate);
  EXPECT_EQ(Admitted(budgets, User("demo-2", true)), 5);
}

TEST(BudgetsTest, StrangersAndDemoTokensByConfiguration) {
  const base::ManualClock clock;
  Budgets::RateLimit rate;
  rate.anonymous_burst_size = 3;
  rate.demo_tokens_per_minute = 2;
  Budgets budgets(rate, base::TrustedProxies({"10.0.0.1"}), clock);
  const auto strangers = [&](const char* peer, const char* forwarded) {
    int admitted = 0;
    while (budgets.AdmitStranger(peer, forwarded)) ++admitted;
    return admitted;
  };
  EXPECT_EQ(strangers("ipv4:192.0.2.1:4711", ""), 3);
  EXPECT_EQ(strangers("ipv4:192.0.2.1:4712", "203.0.113.9"), 0) << "nobody believes it";
  EXPECT_EQ(strangers("ipv4:10.0.0.1:4711", "203.0.113.9"), 3);
  EXPECT_EQ(strangers("ipv4:10.0.0.1:4711", "203.0.113.10"), 3) << "another client of the same proxy";
  EXPECT_TRUE(budgets.demo_tokens().Take("a").has_value());
  EXPECT_TRUE(budgets.demo_tokens().Take("a").has_value());
  EXPECT_FALSE(budgets.demo_tokens().Take("a").has_value());
}

}  // namespace
}  // namespace pondpilot::proxy
