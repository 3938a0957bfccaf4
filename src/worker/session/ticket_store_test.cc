#include "worker/session/ticket_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/session/fake_engine.h"
#include "worker/session/prepared_store.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::session {
namespace {

using base::ErrorCode;
using testing::HasSubstr;

class TicketStoreTest : public testing::Test {
 protected:
  std::shared_ptr<OpenResult> Run(std::string_view sql) {
    return *runner_.Execute({"a" + std::to_string(connections_++), [] { return false; },
                             base::Clock::System().Now() + std::chrono::seconds(10)},
                            sql);
  }

  FakeEngine engine_;
  base::ManualClock clock_;
  int connections_ = 0;
  StatementRunner runner_{engine_, base::Clock::System()};
  TicketStore store_{clock_};
};

TEST_F(TicketStoreTest, ATicketIsGoodForOneReading) {
  const std::string ticket = store_.Put(Run("rows 1"));
  EXPECT_EQ(ticket.size(), 32u);
  EXPECT_NE(ticket, store_.Put(Run("rows 1")));
  EXPECT_TRUE(store_.Take(ticket));
  const auto again = store_.Take(ticket);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(again.error().message, HasSubstr("read already"));
  EXPECT_THAT(again.error().message, HasSubstr("Run the query again"));
  EXPECT_FALSE(store_.Take(""));
  EXPECT_FALSE(store_.Take("garbage"));
}

TEST_F(TicketStoreTest, WhatNobodyFetchesExpires) {
  const std::string old = store_.Put(Run("rows 1000000"));
  clock_.Advance(std::chrono::seconds(30));
  const std::string young = store_.Put(Run("rows 1000000"));
  EXPECT_EQ(engine_.open_streams, 2);
  clock_.Advance(std::chrono::seconds(30));
  EXPECT_FALSE(store_.Take(old)) << "also before the sweep";
  store_.Sweep();
  EXPECT_EQ(engine_.open_streams, 1) << "its statement is stopped";
  EXPECT_EQ(store_.size(), 1u);
  EXPECT_TRUE(store_.Take(young));
}

TEST_F(TicketStoreTest, TheOldestGoWhenThereAreTooMany) {
  std::vector<std::string> tickets;
  for (size_t i = 0; i <= TicketStore::kMaxTickets; ++i) tickets.push_back(store_.Put(Run("rows 1")));
  EXPECT_EQ(store_.size(), TicketStore::kMaxTickets);
  EXPECT_FALSE(store_.Take(tickets.front()));
  EXPECT_TRUE(store_.Take(tickets[1]));
  EXPECT_TRUE(store_.Take(tickets.back()));
}

TEST_F(TicketStoreTest, FetchedRowsHaveABoundInBytes) {
  TicketStore store(clock_, 700'000);  // a full batch of the fake engine has half a megabyte
  const std::string first = store.Put(Run("rows 1000000"));
  const std::string second = store.Put(Run("rows 1000000"));
  EXPECT_FALSE(store.Take(first));
  EXPECT_TRUE(store.Take(second));
  const std::string small = store.Put(Run("rows 1"));
  const std::string large = store.Put(Run("rows 1000000"));
  EXPECT_TRUE(store.Take(small)) << "what was taken does not count any more";
  EXPECT_TRUE(store.Take(large));
}

TEST_F(TicketStoreTest, CancelStopsReadAndUnread) {
  const std::string unread = store_.Put(Run("rows 1000000"));
  EXPECT_TRUE(store_.Cancel(unread));
  EXPECT_EQ(engine_.open_streams, 0);
  EXPECT_FALSE(store_.Take(unread));

  const std::string reading = store_.Put(Run("rows 1000000"));
  auto result = *store_.Take(reading);
  EXPECT_TRUE(result->Next()) << "fetched ahead";
  EXPECT_TRUE(store_.Cancel(reading));
  EXPECT_EQ(result->Next().error().code, ErrorCode::kCancelled);
  result.reset();
  EXPECT_EQ(store_.Cancel(reading).error().code, ErrorCode::kNotFound);
}

TEST_F(TicketStoreTest, ClearDropsAll) {
  store_.Put(Run("rows 1000000"));
  store_.Put(Run("rows 1"));
  store_.Clear();
  EXPECT_EQ(runner_.activity().Get().open_streams, 0u);
}

}  // namespace
}  // namespace pondpilot::worker::session
