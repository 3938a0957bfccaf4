#include "proxy/quack/door.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pondpilot::proxy::quack {
namespace {

using testing::HasSubstr;

// What the door says of a large body that begins so; "" when it may come.
std::string Refusal(QuackDoor& door, std::string_view begin, const std::string& length = "100000") {
  http::Request head;
  head.request_id = "r-1";
  if (!length.empty()) head.headers.set("Content-Length", length);
  const auto answer = door.RefuseBody(head, begin);
  if (!answer) return "";
  EXPECT_EQ(answer->status, 200u) << "a browser shows DuckDB nothing of others";
  EXPECT_GE(answer->counted(), 400u);
  return answer->body;
}

std::string HeaderOf(wire::Type type, const std::string& id) {
  std::string out;
  wire::Writer writer(out);
  writer.Field(1);
  writer.Byte(static_cast<uint8_t>(type));
  if (!id.empty()) {
    writer.Field(2);
    writer.Text(id);
  }
  writer.Field(3);
  writer.Unsigned(~uint64_t{0});
  writer.End();
  EXPECT_LE(out.size(), QuackDoor::kGateBytes);
  return out;
}

TEST(QuackBodyTest, LargeMessagesOfStrangersAreRefusedByTheirFirstBytes) {
  QuackServices services;
  services.clock = &base::Clock::System();
  QuackDoor door(services);
  EXPECT_THAT(Refusal(door, std::string(64, 'x')), HasSubstr("can't be read"));
  EXPECT_THAT(Refusal(door, ""), HasSubstr("can't be read"));
  EXPECT_THAT(Refusal(door, HeaderOf(wire::Type::kConnectionResponse, "")), HasSubstr("not served"));
  for (const auto type : {wire::Type::kPrepareRequest, wire::Type::kAppendRequest, wire::Type::kDisconnect}) {
    EXPECT_THAT(Refusal(door, HeaderOf(type, std::string(32, 'a'))), HasSubstr("Invalid connection id"));
    EXPECT_THAT(Refusal(door, HeaderOf(type, "")), HasSubstr("can't be read"));
  }
  // Who wants a connection may send a long token, and no more.
  const std::string connect = HeaderOf(wire::Type::kConnectionRequest, "");
  EXPECT_EQ(Refusal(door, connect, "70000"), "");
  EXPECT_THAT(Refusal(door, connect, "100000"), HasSubstr("up to 73728 bytes"));
  EXPECT_THAT(Refusal(door, connect, ""), HasSubstr("up to 73728 bytes"));
}

}  // namespace
}  // namespace pondpilot::proxy::quack
