#include "proxy/quack/connections.h"

#include <gtest/gtest.h>

#include <set>

namespace pondpilot::proxy::quack {
namespace {

auth::Principal User(const std::string& id) {
  auth::Principal principal;
  principal.user_id = id;
  return principal;
}

class QuackConnectionsTest : public testing::Test {
 protected:
  base::ManualClock clock_;
  Connections connections_{clock_};
};

TEST_F(QuackConnectionsTest, IdsAreFoundAndForgotten) {
  const auto alice = connections_.Add(User("alice"), wire::Dialect::kV1);
  const auto bob = connections_.Add(User("bob"), wire::Dialect::kV3);
  EXPECT_EQ(alice->id.size(), wire::kIdBytes);
  EXPECT_NE(alice->id, bob->id);
  EXPECT_NE(alice->id, alice->name);
  EXPECT_EQ(connections_.Find(alice->id), alice);
  EXPECT_EQ(connections_.Find(std::string(wire::kIdBytes, '0')), nullptr);
  EXPECT_EQ(connections_.Find(""), nullptr);
  connections_.Remove(alice->id);
  EXPECT_EQ(connections_.Find(alice->id), nullptr);
  EXPECT_EQ(connections_.Find(bob->id), bob);
}

TEST_F(QuackConnectionsTest, AUsersOldestMakesWayForTheirNewest) {
  const auto bob = connections_.Add(User("bob"), wire::Dialect::kV1);
  const auto first = connections_.Add(User("alice"), wire::Dialect::kV1);
  const auto second = connections_.Add(User("alice"), wire::Dialect::kV1);
  for (size_t i = 2; i < Connections::kMaxPerUser; ++i) connections_.Add(User("alice"), wire::Dialect::kV1);
  EXPECT_EQ(connections_.Find(first->id), first) << "used just now";
  connections_.Add(User("alice"), wire::Dialect::kV1);
  EXPECT_EQ(connections_.Find(second->id), nullptr);
  EXPECT_EQ(connections_.Find(first->id), first);
  EXPECT_EQ(connections_.Find(bob->id), bob);
  EXPECT_EQ(connections_.size(), Connections::kMaxPerUser + 1);
}

TEST_F(QuackConnectionsTest, AllTogetherAreBounded) {
  for (size_t i = 0; i < Connections::kMaxConnections + 100; ++i)
    connections_.Add(User("user " + std::to_string(i)), wire::Dialect::kV1);
  EXPECT_EQ(connections_.size(), Connections::kMaxConnections);
}

TEST_F(QuackConnectionsTest, SilentOnesGo) {
  const auto alice = connections_.Add(User("alice"), wire::Dialect::kV1);
  clock_.Advance(Connections::kIdleLife - std::chrono::seconds(1));
  EXPECT_EQ(connections_.Find(alice->id), alice);
  clock_.Advance(Connections::kIdleLife);
  EXPECT_EQ(connections_.Find(alice->id), nullptr);
  EXPECT_EQ(connections_.size(), 0u);
}

}  // namespace
}  // namespace pondpilot::proxy::quack
