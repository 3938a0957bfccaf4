#include "quack/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hex.h"
#include "quack/golden.h"

namespace pondpilot::quack {
namespace {

using testing::HasSubstr;

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[c & 15];
  }
  return out;
}

// The body of a message; its header must have this type.
std::string BodyOf(const std::string& message, Type type) {
  std::string_view body;
  const auto header = ParseHeader(message, body);
  EXPECT_TRUE(header) << header.error().message;
  EXPECT_TRUE(header && header->type == type);
  return std::string(body);
}

TEST(QuackMessages, Connections) {
  const auto v1 = ParseConnectionRequest(BodyOf(golden::Bytes(golden::kConnectV1), Type::kConnectionRequest));
  ASSERT_TRUE(v1);
  EXPECT_EQ(v1->token, "tok155");
  EXPECT_EQ(v1->client_version, "v1.5.5");
  EXPECT_EQ(Choose(*v1), Dialect::kV1);
  const auto v3 = ParseConnectionRequest(BodyOf(golden::Bytes(golden::kConnectV3), Type::kConnectionRequest));
  ASSERT_TRUE(v3);
  EXPECT_EQ(v3->token, "tok200");
  EXPECT_EQ(v3->heartbeat_seconds, 60u);
  EXPECT_EQ(Choose(*v3), Dialect::kV3);
  ConnectionRequest both;
  both.least_version = 1;
  both.most_version = 4;
  EXPECT_EQ(Choose(both), Dialect::kV3);
  both.least_version = both.most_version = 2;
  EXPECT_EQ(Choose(both), std::nullopt);
}

TEST(QuackMessages, TheIdHasAFixedPlace) {
  const std::string id(kIdBytes, 'F');
  for (const Dialect dialect : {Dialect::kV1, Dialect::kV3}) {
    EXPECT_EQ(ConnectionResponse(dialect, id, "v", 60).substr(kIdOffset, kIdBytes), id);
  }
  const std::string prepare = golden::Bytes(golden::kPrepareV1);
  std::string_view body;
  EXPECT_EQ(ParseHeader(prepare, body)->connection_id, prepare.substr(kIdOffset, kIdBytes));
}

TEST(QuackMessages, Requests) {
  const std::string prepare = BodyOf(golden::Bytes(golden::kPrepareV1), Type::kPrepareRequest);
  EXPECT_EQ(ParsePrepareRequest(Dialect::kV1, prepare)->sql, "select 1 as a, 'x' as b");
  const std::string fetch = BodyOf(golden::Bytes(golden::kFetchV1), Type::kFetchRequest);
  const auto fetched = ParseFetchRequest(Dialect::kV1, fetch);
  ASSERT_TRUE(fetched);
  std::string tail = PrepareResponseTail(fetched->result);
  EXPECT_EQ(Hex(tail).substr(4), Hex(fetch).substr(4)) << "an id is written as it was read";
  const std::string append = BodyOf(golden::Bytes(golden::kAppendV1), Type::kAppendRequest);
  const auto appended = ParseAppendRequest(append);
  ASSERT_TRUE(appended);
  EXPECT_EQ(appended->schema, "main");
  EXPECT_EQ(appended->table, "t");
  EXPECT_TRUE(appended->chunk.starts_with(golden::Bytes("64000165")));
  const std::string streamed = golden::Bytes("010001") + "x" + golden::Bytes(golden::kStreamedInsertTailV3);
  EXPECT_EQ(ParsePrepareRequest(Dialect::kV3, streamed)->sql, "x");
  const std::string sent = BodyOf(golden::Bytes(golden::kSendDataV3), Type::kAppendRequest);
  const auto rows = ParseStreamedRows(sent);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->stream, "ba9acf93-b974-4eeb-a24a-54a93b1f91b5");
  EXPECT_EQ(rows->chunks, 1u);
  EXPECT_EQ(rows->batch, 1u);
  EXPECT_FALSE(rows->last_batch);
}

TEST(QuackMessages, Answers) {
  EXPECT_EQ(
      Hex(ConnectionResponse(Dialect::kV1, "258991214HEC3929D49848B17C290ED8", "v1.5.5", 0)).substr(0, 12),
      "010002020020");
  EXPECT_EQ(Hex(Success()), golden::kSuccess);
  EXPECT_EQ(Hex(AppendResponse()), golden::kReceivedV3);
  EXPECT_EQ(Hex(ErrorResponse(Dialect::kV1, "boom")), golden::kErrorV1);
  EXPECT_EQ(Hex(FetchEnd(Dialect::kV1, 7)), golden::kEndV1);
  EXPECT_EQ(Hex(FetchEnd(Dialect::kV3, 2)), golden::kEndV3);
  const std::string count =
      FetchResponseHead(Dialect::kV3, 1, 1) + CountChunk(300000) + FetchResponseTail(Dialect::kV3, 1);
  EXPECT_EQ(Hex(count), golden::kCountV3);
  const std::string waiting = golden::Bytes(golden::kWaitingV3);
  std::string_view rest = waiting;
  rest.remove_prefix(waiting.find(golden::Bytes("0500")) + 2);
  Reader reader(rest);
  const int64_t upper = reader.Signed();
  const ResultId id{upper, reader.Unsigned()};
  EXPECT_EQ(Hex(WaitingPrepareResponse(id)), golden::kWaitingV3);
}

// Of both versions, made from the columns and the chunk that the recorded answer has.
TEST(QuackMessages, PreparedAsRecorded) {
  for (const char* recorded : {golden::kPreparedV1, golden::kPreparedV3}) {
    const std::string message = golden::Bytes(recorded);
    const std::vector<Column> columns = {{"i", golden::Bytes("64000dffff")},
                                         {"s", golden::Bytes("640019ffff")},
                                         {"d", golden::Bytes("640015650001640002c8000ac90002ffffffff")}};
    const std::string head = PrepareResponseHead(columns, false, 1);
    ASSERT_TRUE(message.starts_with(head)) << Hex(head);
    const size_t tail = message.rfind(golden::Bytes("0500"));
    std::string_view id_bytes = std::string_view(message).substr(tail + 2);
    Reader reader(id_bytes);
    const int64_t upper = reader.Signed();
    const ResultId id{upper, reader.Unsigned()};
    std::string made = head;
    const size_t framing = golden::Bytes("012c01").size();
    made += kListedChunkHead;
    made += std::string_view(message).substr(head.size() + framing, tail - 2 - head.size() - framing);
    made += kListedChunkTail;
    made += PrepareResponseTail(id);
    EXPECT_EQ(Hex(made), recorded);
  }
}

TEST(QuackMessages, ErrorsHaveTheirClassApart) {
  const std::string v3 = ErrorResponse(Dialect::kV3, "Catalog Error: no table");
  EXPECT_THAT(v3, HasSubstr("no table"));
  EXPECT_THAT(v3, Not(HasSubstr("Catalog Error")));
  EXPECT_THAT(v3, HasSubstr("Catalog"));
  EXPECT_THAT(ErrorResponse(Dialect::kV1, "Catalog Error: no table"), HasSubstr("Catalog Error: no table"));
  EXPECT_THAT(ErrorResponse(Dialect::kV3, "Token expired."), HasSubstr("Invalid Input"));
}

TEST(QuackMessages, DamagedOnesAreRefused) {
  std::string_view body;
  EXPECT_FALSE(ParseHeader("", body));
  EXPECT_FALSE(ParseHeader("{}", body));
  EXPECT_FALSE(ParseHeader(golden::Bytes("0100630300ffffffffffffffffff01ffff"), body))
      << "of an unknown type";
  EXPECT_FALSE(ParseHeader(golden::Bytes("0100030300ffffffffffffffffff01ffff"), body)) << "without an id";
  for (const char* hex : {golden::kConnectV1, golden::kPrepareV1, golden::kAppendV1, golden::kFetchV1,
                          golden::kConnectV3, golden::kSendDataV3}) {
    const std::string whole = golden::Bytes(hex);
    for (size_t length = 0; length < whole.size(); ++length) {
      const std::string cut = whole.substr(0, length);
      const auto header = ParseHeader(cut, body);
      if (!header) continue;
      // What follows must not be read past its end, whatever it says (the sanitizers look).
      (void)ParseConnectionRequest(body);
      for (const Dialect dialect : {Dialect::kV1, Dialect::kV3}) {
        (void)ParsePrepareRequest(dialect, body);
        (void)ParseFetchRequest(dialect, body);
      }
      (void)ParseAppendRequest(body);
      (void)ParseStreamedRows(body);
      (void)ParseCancel(body);
    }
  }
}

}  // namespace
}  // namespace pondpilot::quack
