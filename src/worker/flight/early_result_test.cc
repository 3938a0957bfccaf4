// What leaves with GetFlightInfo, against what DoGet sends, as bytes.
#include "worker/flight/early_result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "contract/control.pb.h"
#include "worker/flight/locked_engine.h"
#include "worker/flight/loopback.h"
#include "worker/flight/raw_call.h"

namespace pondpilot::worker::flight {
namespace {

class EarlyResultTest : public testing::Test {
 protected:
  void SetUp() override { server_.service().StartServing(); }

  LockedEngine engine_;
  Loopback server_{*engine_};
};

// The ticket of a serialised FlightInfo, found by its prefix.
std::string TicketIn(const std::string& info) {
  constexpr std::string_view kPrefix = "pondpilot:result:";
  const size_t at = info.find(kPrefix);
  return at == std::string::npos ? "" : info.substr(at, kPrefix.size() + 32);
}

// Without NULLs: the bytes in their places are undefined.
TEST_F(EarlyResultTest, AnEarlyResultIsWhatDoGetWouldSend) {
  for (const char* sql : {
           "SELECT 42",
           "SELECT 1 WHERE false",
           "SELECT 'a' AS s, [1, 2] AS l, {'x': 1.5} AS r",
           "SELECT range, 'text ' || range FROM range(37)",
           "SELECT 'b'::ENUM('a', 'b') AS e",
           "SELECT true, DATE '2020-01-01', 1::HUGEINT, 'ab'::BLOB, INTERVAL 1 DAY",
           "SHOW TABLES",
       }) {
    const auto early = RawCall(server_.address(), kTestToken, "GetFlightInfo", sql, true);
    ASSERT_TRUE(early.status.ok()) << sql << early.status.error_message();
    const auto plain = RawCall(server_.address(), kTestToken, "GetFlightInfo", sql);
    EXPECT_TRUE(plain.early_result.empty()) << "nobody asked";
    control::v1::EarlyResult result;
    ASSERT_TRUE(result.ParseFromString(early.early_result));
    const std::vector<std::string> messages(result.messages().begin(), result.messages().end());
    EXPECT_EQ(messages, RawGet(server_.address(), kTestToken, TicketIn(plain.message))) << sql;
    EXPECT_EQ(result.ticket(), TicketIn(early.message)) << sql;
    EXPECT_EQ(result.ticket().size(), 49u);
  }
  EXPECT_EQ(server_.runner().tickets().size(), 0u);
}

TEST_F(EarlyResultTest, WhatIsNotSmallWaitsForDoGet) {
  for (const std::string& sql :
       {std::string("SELECT range FROM range(1000)"), std::string("SELECT repeat('x', 5000)"),
        std::string("SELECT range FROM range(1000000)"),
        std::string("SELECT * FROM (SELECT unnest([{'a': 1}]) FROM range(2000))")}) {
    const auto answer = RawCall(server_.address(), kTestToken, "GetFlightInfo", sql, true);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_TRUE(answer.early_result.empty()) << sql;
    EXPECT_FALSE(RawGet(server_.address(), kTestToken, TicketIn(answer.message)).empty()) << sql;
  }
}

}  // namespace
}  // namespace pondpilot::worker::flight
