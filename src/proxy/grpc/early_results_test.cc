#include "proxy/grpc/early_results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "contract/control.pb.h"
#include "contract/names.h"

namespace pondpilot::proxy::grpc {
namespace {

using ::grpc::ByteBuffer;
using ::testing::ElementsAre;

ByteBuffer Bytes(const std::string& text) {
  const ::grpc::Slice slice(text);
  return ByteBuffer(&slice, 1);
}

std::string Text(const ByteBuffer& bytes) {
  ::grpc::Slice slice;
  EXPECT_TRUE(bytes.DumpToSingleSlice(&slice).ok());
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

// A Ticket message.
std::string Request(const std::string& ticket) {
  return "\x0a" + std::string(1, static_cast<char>(ticket.size())) + ticket;
}

std::string Trailer(const std::string& ticket,
                    const std::vector<std::string>& messages = {"schema", "rows"}) {
  control::v1::EarlyResult result;
  result.set_ticket(ticket);
  for (const std::string& message : messages) result.add_messages(message);
  return result.SerializeAsString();
}

class EarlyResultsTest : public ::testing::Test {
 protected:
  bool Keep(const std::string& user, const std::string& trailer) {
    auto place = results_.Reserve(user);
    return place && results_.Keep(std::move(place), trailer);
  }
  std::vector<std::string> Take(const std::string& user, const std::string& request) {
    const auto messages = results_.Take(user, Bytes(request));
    std::vector<std::string> texts;
    if (!messages) return {"none"};
    for (const ByteBuffer& message : *messages) texts.push_back(Text(message));
    return texts;
  }

  base::ManualClock clock_;
  EarlyResults results_{clock_};
};

TEST_F(EarlyResultsTest, AResultIsGivenOnceToItsUser) {
  ASSERT_TRUE(Keep("alice", Trailer("t1")));
  EXPECT_THAT(Take("bob", Request("t1")), ElementsAre("none"));
  EXPECT_THAT(Take("alice", Request("t2")), ElementsAre("none"));
  EXPECT_THAT(Take("alice", Request("t1")), ElementsAre("schema", "rows"));
  EXPECT_THAT(Take("alice", Request("t1")), ElementsAre("none"));
  EXPECT_EQ(results_.size(), 0u);
}

TEST_F(EarlyResultsTest, ItsTimeEnds) {
  ASSERT_TRUE(Keep("alice", Trailer("t1")));
  clock_.Advance(EarlyResults::kLife - std::chrono::seconds(1));
  ASSERT_TRUE(Keep("alice", Trailer("t2")));
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_THAT(Take("alice", Request("t1")), ElementsAre("none"));
  EXPECT_EQ(results_.size(), 1u);
  EXPECT_THAT(Take("alice", Request("t2")), ElementsAre("schema", "rows"));
}

TEST_F(EarlyResultsTest, AUserHasABound) {
  for (size_t i = 0; i < EarlyResults::kMaxOfUser - 1; ++i)
    ASSERT_TRUE(Keep("alice", Trailer(std::to_string(i))));
  {
    const auto last = results_.Reserve("alice");
    EXPECT_TRUE(last);
    EXPECT_FALSE(results_.Reserve("alice")) << "what is promised counts";
    EXPECT_TRUE(results_.Reserve("bob"));
  }
  EXPECT_TRUE(results_.Reserve("alice")) << "given back";
  EXPECT_THAT(Take("alice", Request("0")), ElementsAre("schema", "rows")) << "none was dropped for another";
}

TEST_F(EarlyResultsTest, AllUsersTogetherHaveABound) {
  std::vector<EarlyResults::Place> places;
  for (size_t i = 0; i < EarlyResults::kMaxInAll; ++i) {
    places.push_back(results_.Reserve("user" + std::to_string(i / EarlyResults::kMaxOfUser)));
    ASSERT_TRUE(places.back()) << i;
  }
  EXPECT_FALSE(results_.Reserve("one more"));
  places.clear();
  EXPECT_EQ(results_.size(), 0u);
}

TEST_F(EarlyResultsTest, WhatIsNoResultIsNotKept) {
  const std::vector<std::string> too_many(contract::kMaxEarlyResultMessages + 1, "x");
  for (const std::string& trailer :
       {std::string(), std::string("garbage"), Trailer(""), Trailer("t", {}), Trailer("t", too_many),
        Trailer("t", {std::string(2 * EarlyResults::kMaxResultBytes, 'x')})}) {
    EXPECT_FALSE(Keep("alice", trailer)) << trailer.size();
  }
  EXPECT_EQ(results_.size(), 0u);
  ASSERT_TRUE(Keep("alice", Trailer("t1", {"first"})));
  EXPECT_FALSE(Keep("alice", Trailer("t1", {"second"})));
  EXPECT_THAT(Take("alice", Request("t1")), ElementsAre("first"));
}

TEST_F(EarlyResultsTest, RequestsThatAreNoTicket) {
  ASSERT_TRUE(Keep("alice", Trailer("t1")));
  for (const std::string& request :
       {std::string(), std::string("\x0a"), std::string("\x0a\x05t1"), Request("t1") + "more",
        std::string("\x12\x02t1"), std::string("\x0a\xff\xff\xff\xff\x0ft1"), std::string(5000, '\x0a')}) {
    EXPECT_THAT(Take("alice", request), ElementsAre("none"));
  }
  EXPECT_THAT(Take("alice", Request("t1")), ElementsAre("schema", "rows"));
}

}  // namespace
}  // namespace pondpilot::proxy::grpc
