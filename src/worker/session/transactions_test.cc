// Transactions with a handle: who runs where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "worker/session/eventually.h"
#include "worker/session/fake_engine.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::session {
namespace {

using base::ErrorCode;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

class Transactions : public testing::Test {
 protected:
  static Caller From(const std::string& name, const std::string& transaction = "", bool joins = false) {
    return {
        name, [] { return false; }, base::Clock::System().Now() + seconds(1), {transaction, joins}, nullptr};
  }
  std::string Begin(const std::string& name = "a") {
    auto handle = runner_.Begin(From(name));
    EXPECT_TRUE(handle.has_value()) << handle.error().message;
    return handle.value_or("");
  }
  // The connection that a statement ran on tells whether it is inside.
  bool Runs(const Caller& caller, const std::string& sql = "rows 1") {
    const auto result = runner_.Execute(caller, sql);
    return result.has_value();
  }
  ErrorCode CodeOf(const Caller& caller, const std::string& sql = "rows 1") {
    const auto result = runner_.Execute(caller, sql);
    EXPECT_FALSE(result.has_value());
    return result ? ErrorCode::kInternal : result.error().code;
  }

  FakeEngine engine_;
  StatementRunner runner_{engine_, base::Clock::System()};
};

TEST_F(Transactions, HaveAConnectionToThemselves) {
  const std::string handle = Begin();
  EXPECT_EQ(handle.size(), 32u);
  EXPECT_EQ(engine_.connections, 1);
  EXPECT_TRUE(Runs(From("a", handle)));
  EXPECT_EQ(engine_.connections, 1);
  EXPECT_TRUE(Runs(From("a")));  // beside it
  EXPECT_EQ(engine_.connections, 2);
  EXPECT_EQ(runner_.sessions().Count().open_transactions, 1u);
  EXPECT_TRUE(runner_.End(From("a", handle), true).has_value());
  EXPECT_EQ(runner_.sessions().Count().open_transactions, 0u);
  EXPECT_EQ(engine_.ran().back(), "Commit");
  EXPECT_EQ(CodeOf(From("a", handle)), ErrorCode::kNotFound);
  EXPECT_EQ(runner_.End(From("a", handle), true).error().code, ErrorCode::kNotFound);
}

TEST_F(Transactions, BelongToTheirSession) {
  const std::string handle = Begin("a");
  EXPECT_EQ(CodeOf(From("b", handle)), ErrorCode::kNotFound);
  EXPECT_EQ(runner_.End(From("b", handle), false).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(From("a", "made up")), ErrorCode::kNotFound);
  EXPECT_TRUE(Runs(From("a", handle)));
  runner_.CloseSession("a");
  EXPECT_EQ(CodeOf(From("a", handle)), ErrorCode::kNotFound);
}

TEST_F(Transactions, WhatJoinsRunsInside) {
  const std::string handle = Begin();
  EXPECT_TRUE(runner_.Look(From("a", "", true), {}).has_value());
  EXPECT_EQ(engine_.connections, 1);
  Begin();
  EXPECT_EQ(engine_.connections, 2);
  // Which of the two is meant can't be told.
  EXPECT_TRUE(runner_.Look(From("a", "", true), {}).has_value());
  EXPECT_EQ(engine_.connections, 3);
}

TEST_F(Transactions, TakeTheSessionsStateWithThem) {
  ASSERT_TRUE(Runs(From("a"), "set x"));
  const std::string handle = Begin();
  EXPECT_EQ(engine_.connections, 1);
  EXPECT_TRUE(Runs(From("a", handle)));
  const auto beside = runner_.Execute(From("a"), "rows 1");
  ASSERT_FALSE(beside.has_value());
  EXPECT_EQ(beside.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(beside.error().message, HasSubstr("handle"));
  EXPECT_TRUE(runner_.Look(From("a", "", true), {}).has_value());
  ASSERT_TRUE(runner_.End(From("a", handle), false).has_value());
  EXPECT_TRUE(Runs(From("a")));
  EXPECT_EQ(engine_.connections, 1);
}

TEST_F(Transactions, EndWithTheTextsAsWell) {
  const std::string handle = Begin();
  EXPECT_TRUE(Runs(From("a", handle), "commit"));
  EXPECT_EQ(CodeOf(From("a", handle)), ErrorCode::kNotFound);
}

TEST_F(Transactions, AreBounded) {
  for (size_t i = 0; i < Session::kMaxTransactions; ++i) Begin();
  const auto more = runner_.Begin(From("a"));
  ASSERT_FALSE(more.has_value());
  EXPECT_EQ(more.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(engine_.ran().back(), "Rollback");
  EXPECT_TRUE(Runs(From("a")));
  EXPECT_TRUE(runner_.Begin(From("b")).has_value());
}

TEST_F(Transactions, AnUnreadResultDoesNotKeepOneOpen) {
  const std::string handle = Begin();
  const auto open = runner_.Execute(From("a", handle), "rows 200000");
  ASSERT_TRUE(open.has_value());
  const std::string ticket = runner_.tickets().Put(*open);
  const_cast<std::shared_ptr<OpenResult>&>(*open).reset();
  EXPECT_TRUE(runner_.End(From("a", handle), true).has_value());
  EXPECT_FALSE(runner_.tickets().Take(ticket).has_value());
  EXPECT_EQ(engine_.open_streams, 0);
}

TEST_F(Transactions, ARollbackStopsWhatRunsInside) {
  const std::string handle = Begin();
  std::thread other([&] { EXPECT_EQ(CodeOf(From("a", handle), "block"), ErrorCode::kCancelled); });
  ASSERT_TRUE(Eventually([&] { return engine_.executing == 1; }));
  EXPECT_TRUE(runner_.End(From("a", handle), false).has_value());
  other.join();
}

TEST(SessionTransactions, AreRolledBackWhenNobodyUsesThem) {
  FakeEngine engine;
  base::ManualClock clock;
  SessionRegistry registry(engine, clock);
  const auto session = *registry.Get("a");
  std::string handle;
  {
    auto lease = session->Acquire({}, clock.Now(), [] { return false; });
    ASSERT_TRUE(lease->connection().Begin().has_value());
    handle = *lease->NameTransaction();
  }
  clock.Advance(SessionRegistry::kTransactionIdleLife - seconds(1));
  registry.Sweep();
  {
    ASSERT_TRUE(session->Acquire({handle, false}, clock.Now(), [] { return false; }).has_value());
  }
  clock.Advance(SessionRegistry::kTransactionIdleLife - seconds(1));
  registry.Sweep();
  EXPECT_NE(session->FindTransaction(handle), nullptr);
  clock.Advance(seconds(1));
  registry.Sweep();
  EXPECT_EQ(engine.ran().back(), "Rollback");
  EXPECT_EQ(session->Acquire({handle, false}, clock.Now(), [] { return false; }).error().code,
            ErrorCode::kNotFound);
  EXPECT_FALSE(session->state().in_transaction);
}

TEST(SessionTransactions, ThatDoNotEndTakeNobodysStatements) {
  FakeEngine engine;
  base::ManualClock clock;
  SessionRegistry registry(engine, clock);
  const auto session = *registry.Get("a");
  {
    auto lease = session->Acquire({}, clock.Now(), [] { return false; });
    ASSERT_TRUE(lease->connection().Begin().has_value());
    ASSERT_TRUE(lease->NameTransaction().has_value());
  }
  engine.ends_transactions.store(false);
  clock.Advance(SessionRegistry::kTransactionIdleLife);
  registry.Sweep();
  EXPECT_EQ(engine.connections.load(), 0) << "it goes with its connection";
  auto next = session->Acquire({}, clock.Now(), [] { return false; });
  ASSERT_TRUE(next.has_value());
  EXPECT_FALSE(next->connection().InTransaction());
}

}  // namespace
}  // namespace pondpilot::worker::session
