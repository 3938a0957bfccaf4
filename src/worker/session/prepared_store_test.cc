#include "worker/session/prepared_store.h"

#include <gtest/gtest.h>

namespace pondpilot::worker::session {
namespace {

using base::ErrorCode;

TEST(PreparedStore, HandlesBelongToTheirSession) {
  base::ManualClock clock;
  PreparedStore store(clock);
  const std::string handle = store.Put("a", {"SELECT 1", "t", nullptr});
  EXPECT_EQ(handle.size(), 32u);
  const auto mine = store.Get("a", handle);
  ASSERT_TRUE(mine.has_value());
  EXPECT_EQ(mine->sql, "SELECT 1");
  EXPECT_EQ(mine->transaction, "t");
  EXPECT_EQ(store.Get("b", handle).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store.Bind("b", handle, nullptr, 0).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store.Close("b", handle).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(store.Close("a", handle).has_value());
  EXPECT_FALSE(store.Close("a", handle).has_value());
}

TEST(PreparedStore, ValuesAreKeptUntilTheNext) {
  base::ManualClock clock;
  PreparedStore store(clock);
  const std::string handle = store.Put("a", {"SELECT ?", "", nullptr});
  const auto values = std::make_shared<engine::ParameterRows>();
  ASSERT_TRUE(store.Bind("a", handle, values, 100).has_value());
  EXPECT_EQ(store.Get("a", handle)->values, values);
  EXPECT_EQ(store.Get("a", handle)->values, values);
}

TEST(PreparedStore, IsBoundedInNumberBytesAndTime) {
  base::ManualClock clock;
  PreparedStore store(clock, {3, 100, std::chrono::minutes(60)});
  const std::string first = store.Put("a", {"1", "", nullptr});
  clock.Advance(std::chrono::seconds(1));
  const std::string second = store.Put("a", {"2", "", nullptr});
  clock.Advance(std::chrono::seconds(1));
  ASSERT_TRUE(store.Get("a", first).has_value());
  clock.Advance(std::chrono::seconds(1));
  store.Put("b", {"3", "", nullptr});
  store.Put("b", {"4", "", nullptr});
  EXPECT_FALSE(store.Get("a", second).has_value());  // the longest unused
  EXPECT_TRUE(store.Get("a", first).has_value());
  EXPECT_EQ(store.Bind("a", first, nullptr, 100).error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(store.Bind("a", first, nullptr, 99).has_value());
  EXPECT_TRUE(store.Get("a", first).has_value());
  const std::string last = store.Put("a", {std::string(90, 'x'), "", nullptr});
  EXPECT_FALSE(store.Get("a", first).has_value());
  EXPECT_TRUE(store.Get("a", last).has_value());
  clock.Advance(std::chrono::minutes(60));
  store.Sweep();
  EXPECT_FALSE(store.Get("a", last).has_value());
  // The bytes of what has gone are free again.
  const std::string again = store.Put("a", {std::string(100, 'x'), "", nullptr});
  EXPECT_TRUE(store.Get("a", again).has_value());
}

TEST(PreparedStore, AClosedSessionTakesItsOwnAlong) {
  base::ManualClock clock;
  PreparedStore store(clock);
  const std::string mine = store.Put("a", {"1", "", nullptr});
  const std::string other = store.Put("b", {"2", "", nullptr});
  store.CloseSession("a");
  EXPECT_FALSE(store.Get("a", mine).has_value());
  EXPECT_TRUE(store.Get("b", other).has_value());
}

}  // namespace
}  // namespace pondpilot::worker::session
