#include "worker/session/session_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "worker/session/fake_engine.h"

namespace pondpilot::worker::session {
namespace {

using base::ErrorCode;
using std::chrono::seconds;
using testing::HasSubstr;

class RegistryTest : public testing::Test {
 protected:
  std::shared_ptr<Session> Get(const std::string& name) {
    auto session = registry_.Get(name);
    EXPECT_TRUE(session) << session.error().message;
    return session ? *session : nullptr;
  }
  std::unique_ptr<engine::ResultStream> Run(const std::string& name, std::string_view sql) {
    auto lease = Get(name)->Acquire({}, clock_.Now() + seconds(1), [] { return false; });
    auto stream = lease->connection().Execute(sql);
    return stream ? std::move(*stream) : nullptr;
  }

  FakeEngine engine_;
  base::ManualClock clock_;
  SessionRegistry registry_{engine_, clock_};
};

TEST_F(RegistryTest, OneSessionPerConnection) {
  EXPECT_EQ(Get("a"), Get("a"));
  EXPECT_NE(Get("a"), Get("b"));
  EXPECT_EQ(Get(""), Get(""));
  EXPECT_EQ(registry_.Count().sessions, 3u);
  EXPECT_EQ(registry_.Get(std::string(257, 'x')).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(RegistryTest, SessionsOfTheirOwnAreBoundedAndEndWithTheirUse) {
  std::vector<std::shared_ptr<Session>> alone;
  for (size_t i = 0; i < SessionRegistry::kMaxAlone; ++i) alone.push_back(*registry_.Alone());
  EXPECT_NE(alone[0], alone[1]);
  EXPECT_EQ(registry_.Alone().error().code, ErrorCode::kResourceExhausted);
  alone.pop_back();
  EXPECT_TRUE(registry_.Alone().has_value());
  {
    auto lease = alone.back()->Acquire({}, clock_.Now(), [] { return false; });
    ASSERT_TRUE(lease.has_value());
    EXPECT_EQ(engine_.connections, 1);
    alone.clear();
  }
  EXPECT_EQ(engine_.connections, 0);
  EXPECT_EQ(registry_.Count().sessions, 0u);
}

TEST_F(RegistryTest, ClosingEndsTheState) {
  Run("a", "begin");
  EXPECT_EQ(registry_.Count().open_transactions, 1u);
  EXPECT_TRUE(registry_.Close("a"));
  EXPECT_FALSE(registry_.Close("a"));
  EXPECT_EQ(registry_.Count().open_transactions, 0u);
  EXPECT_EQ(engine_.connections, 0);
  EXPECT_FALSE(Get("a")->state().in_transaction);
}

TEST_F(RegistryTest, ASweepClosesWhatIsUnused) {
  Run("plain", "rows 1");
  Run("transaction", "begin");
  const auto busy = Get("busy")->Acquire({}, clock_.Now(), [] { return false; });
  clock_.Advance(SessionRegistry::kTransactionIdleLife - seconds(1));
  registry_.Sweep();
  EXPECT_EQ(registry_.Count().sessions, 3u);
  clock_.Advance(seconds(1));
  registry_.Sweep();
  EXPECT_EQ(registry_.Count().sessions, 2u);
  EXPECT_EQ(registry_.Count().open_transactions, 0u);
  clock_.Advance(SessionRegistry::kIdleLife);
  registry_.Sweep();
  EXPECT_EQ(registry_.Count().sessions, 1u) << "the busy one stays";
}

TEST_F(RegistryTest, WhoseLossHurtsLeastMakesRoom) {
  Run("transaction", "begin");
  Run("state", "set x");
  for (size_t i = 2; i < SessionRegistry::kMaxSessions; ++i) {
    clock_.Advance(seconds(1));
    Run(std::to_string(i), "rows 1");
  }
  // Pointers would keep them alive and so out of the choice.
  Get("new");
  EXPECT_EQ(registry_.Count().sessions, SessionRegistry::kMaxSessions);
  EXPECT_FALSE(registry_.Close("2")) << "the longest unused without state is gone";
  EXPECT_TRUE(registry_.Close("3"));
  EXPECT_TRUE(registry_.Close("state"));
  EXPECT_TRUE(registry_.Close("transaction"));
}

TEST_F(RegistryTest, WhoLostASessionWithStateIsToldOnce) {
  Run("transaction", "begin");
  Run("plain", "rows 1");
  clock_.Advance(SessionRegistry::kIdleLife);
  registry_.Sweep();
  EXPECT_EQ(registry_.Count().sessions, 0u);
  const auto told = registry_.Get("transaction");
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().code, ErrorCode::kAborted);
  EXPECT_THAT(told.error().message, HasSubstr("10 minutes without use"));
  EXPECT_THAT(told.error().message, HasSubstr("rolled back"));
  EXPECT_TRUE(registry_.Get("transaction"));
  EXPECT_TRUE(registry_.Get("plain"));
}

TEST_F(RegistryTest, WhatIsStillToBeToldIsForgottenInTime) {
  Run("old", "set x");
  Run("closed", "set x");
  clock_.Advance(SessionRegistry::kIdleLife);
  registry_.Sweep();
  EXPECT_FALSE(registry_.Close("closed")) << "its client wanted an end";
  EXPECT_TRUE(registry_.Get("closed"));
  clock_.Advance(SessionRegistry::kLostLife + seconds(1));
  registry_.Sweep();
  EXPECT_TRUE(registry_.Get("old"));
}

TEST_F(RegistryTest, WhatIsStillToBeToldHasABound) {
  // Each past the bound on sessions makes room by the loss of the oldest.
  const size_t count = SessionRegistry::kMaxSessions + SessionRegistry::kMaxLost + 1;
  for (size_t i = 0; i < count; ++i) {
    Run(std::to_string(i), "set x");
    clock_.Advance(seconds(1));
  }
  EXPECT_FALSE(registry_.Get("1"));
  EXPECT_FALSE(registry_.Get(std::to_string(SessionRegistry::kMaxLost)));
  EXPECT_TRUE(registry_.Get("0"));
}

TEST_F(RegistryTest, BusySessionsAreNotClosed) {
  std::vector<base::Result<ConnectionLease>> leases;
  for (size_t i = 0; i < SessionRegistry::kMaxSessions; ++i) {
    leases.push_back(Get(std::to_string(i))->Acquire({}, clock_.Now(), [] { return false; }));
  }
  const auto refused = registry_.Get("one more");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace pondpilot::worker::session
