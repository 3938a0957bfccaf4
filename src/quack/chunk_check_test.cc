#include "quack/chunk_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "quack/golden.h"
#include "quack/messages.h"

namespace pondpilot::quack {
namespace {

using testing::HasSubstr;

std::string Appended() {
  const std::string message = golden::Bytes(golden::kAppendV1);
  std::string_view body;
  (void)ParseHeader(message, body);
  return std::string(ParseAppendRequest(body)->chunk);
}

std::string Streamed() {
  const std::string message = golden::Bytes(golden::kSendDataV3);
  std::string_view body;
  (void)ParseHeader(message, body);
  return std::string(ParseStreamedRows(body)->rows);
}

std::string Refusal(const std::string& chunk) {
  const auto checked = CheckChunk(chunk);
  return checked ? "accepted" : checked.error().message;
}

TEST(ChunkCheck, RecordedChunksPass) {
  for (const std::string& chunk : {Appended(), Streamed(), CountChunk(-1)}) {
    const auto length = CheckChunk(chunk);
    ASSERT_TRUE(length) << length.error().message;
    EXPECT_EQ(*length, chunk.size());
    EXPECT_TRUE(CheckChunks(chunk + chunk, 2));
    EXPECT_FALSE(CheckChunks(chunk + chunk, 1)) << "something is left over";
    EXPECT_FALSE(CheckChunks(chunk, 2));
  }
  // A sequence of 2048 rows takes a few bytes.
  EXPECT_EQ(Refusal(golden::Bytes("6400801065000164000effff6600015a00045b00005c0001ffffffff")), "accepted");
}

TEST(ChunkCheck, WhatDuckDbWouldTakeForGranted) {
  // One VARCHAR: not UTF-8, in either version's form.
  EXPECT_EQ(Refusal(golden::Bytes("640001650001640019ffff660001640000660001018bffffffff")),
            "The rows that the client has sent are damaged.");
  EXPECT_NE(Refusal(golden::Bytes("640001650001640019ffff6600016400006b00016c0004010000006d00018bffffffff")),
            "accepted");
  // A text that is longer than what there is.
  EXPECT_NE(Refusal(golden::Bytes("640001650001640019ffff6600016400006b00016c0004020000006d000161ffffffff")),
            "accepted");
  EXPECT_EQ(Refusal(golden::Bytes("640001650001640019ffff6600016400006b00016c0004010000006d000161ffffffff")),
            "accepted");
  // A BOOLEAN that is neither.
  EXPECT_NE(Refusal(golden::Bytes("64000165000164000affff66000164000066000102ffffffff")), "accepted");
  // An INTEGER[] that reads behind its values, and the same that doesn't.
  const std::string list =
      "640001650001640065650001640004c80064000dffffffffffff660001640000680002690001640000650003"
      "ffff6a006400006600080100000002000000ffffffffffff";
  EXPECT_NE(Refusal(golden::Bytes(list.c_str())), "accepted");
  std::string right = list;
  right.replace(right.find("650003"), 6, "650002");
  EXPECT_EQ(Refusal(golden::Bytes(right.c_str())), "accepted");
  // A dictionary's selection points behind it.
  EXPECT_NE(
      Refusal(golden::Bytes("64000165000164000bffff6600015a00035b0004010000005c000164000066000107ffffffff")),
      "accepted");
  EXPECT_EQ(
      Refusal(golden::Bytes("64000165000164000bffff6600015a00035b0004000000005c000164000066000107ffffffff")),
      "accepted");
  // An enum of two with a third member.
  EXPECT_NE(Refusal(golden::Bytes("640001650001640068650001640006c80002c90002016101"
                                  "62ffffffff66000164000066000102ffffffff")),
            "accepted");
  EXPECT_EQ(Refusal(golden::Bytes("640001650001640068650001640006c80002c90002016101"
                                  "62ffffffff66000164000066000101ffffffff")),
            "accepted");
}

TEST(ChunkCheck, TypesThatNoClientMaySend) {
  // BIGNUM, and JSON by its name.
  EXPECT_THAT(Refusal(golden::Bytes("640000650001640027ffff660001640000ffffffff")), HasSubstr("number 39"));
  EXPECT_THAT(
      Refusal(golden::Bytes("6400006500016400196500016400016500044a534f4effffffff660001640000ffffffff")),
      HasSubstr("JSON"));
}

TEST(ChunkCheck, SizesAreBounded) {
  EXPECT_NE(Refusal(golden::Bytes("6400ffffffff0f65000164000effff6600015a00045b00005c0001ffffffff")),
            "accepted");
  // A constant array of arrays, which few bytes say.
  EXPECT_THAT(Refusal(golden::Bytes(
                  "64000165000164006c650001640009c80064006c650001640009c80064000effffc900a08d06ffffffff"
                  "c900a08d06ffffffff660001")),
              HasSubstr("too large"));
}

// One row of a type of 8 bytes.
std::string OneValue(uint8_t type, uint64_t bits, bool valid = true) {
  std::string chunk = golden::Bytes("6400016500016400");
  chunk += static_cast<char>(type);
  chunk += golden::Bytes(valid ? "ffff660001640000660008" : "ffff6600016400016500080000000000000000660008");
  for (int i = 0; i < 8; ++i) chunk += static_cast<char>(bits >> (8 * i));
  return chunk + golden::Bytes("ffffffff");
}

TEST(ChunkCheck, TimesOfDay) {
  constexpr uint8_t kTime = 16;
  constexpr uint8_t kTimeTz = 34;
  constexpr uint8_t kTimeNs = 35;
  constexpr uint64_t kDay = 86'400'000'000;
  const auto accepts = [](uint8_t type, uint64_t bits) {
    return Refusal(OneValue(type, bits)) == "accepted";
  };
  EXPECT_TRUE(accepts(kTime, 0));
  EXPECT_TRUE(accepts(kTime, kDay));
  EXPECT_FALSE(accepts(kTime, kDay + 1));
  EXPECT_FALSE(accepts(kTime, static_cast<uint64_t>(-1)));
  EXPECT_TRUE(accepts(kTimeNs, kDay * 1000));
  EXPECT_FALSE(accepts(kTimeNs, kDay * 1000 + 1));
  constexpr uint64_t kMost = 2 * 57'599;
  EXPECT_TRUE(accepts(kTimeTz, kDay << 24 | kMost));
  EXPECT_TRUE(accepts(kTimeTz, 0));
  EXPECT_FALSE(accepts(kTimeTz, kMost + 1));
  EXPECT_FALSE(accepts(kTimeTz, (kDay + 1) << 24));
  EXPECT_THAT(Refusal(OneValue(kTime, kDay + 1)), HasSubstr("outside of 00:00:00 to 24:00:00"));
  // Timestamps in seconds and milliseconds, which DuckDB has to have in microseconds.
  constexpr uint64_t kInfinity = std::numeric_limits<int64_t>::max();
  for (const auto& [type, each] : {std::pair<uint8_t, uint64_t>(17, 1'000'000), {18, 1'000}}) {
    EXPECT_TRUE(accepts(type, kInfinity));
    EXPECT_TRUE(accepts(type, -kInfinity));
    EXPECT_TRUE(accepts(type, kInfinity / each));
    EXPECT_FALSE(accepts(type, kInfinity / each + 1));
    EXPECT_FALSE(accepts(type, -(kInfinity / each) - 1));
    EXPECT_FALSE(accepts(type, kInfinity + 1));
  }
  // Where there is no value there may be anything.
  EXPECT_EQ(Refusal(OneValue(kTime, kDay + 1, false)), "accepted");
  EXPECT_TRUE(accepts(14, kDay + 1)) << "a BIGINT";
}

TEST(ChunkCheck, NamesOfTypes) {
  // VARCHAR and INTEGER called INET and x; an enum may be called so.
  EXPECT_THAT(
      Refusal(golden::Bytes("640000650001640019650001640001650004494e4554ffffffff660001640000ffffffff")),
      HasSubstr("INET"));
  EXPECT_THAT(Refusal(golden::Bytes("64000065000164000d65000164000165000178ffffffff660001640000ffffffff")),
              HasSubstr("type x"));
  EXPECT_EQ(Refusal(golden::Bytes("64000165000164006865000164000665000178c80002c9000201610162ffffffff"
                                  "66000164000066000101ffffffff")),
            "accepted");
}

// Whatever is accepted has exactly the length that was said, and nothing is read behind the end.
TEST(ChunkCheck, MutatedChunks) {
  std::mt19937_64 random(20260126);
  size_t accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string chunk = round % 2 == 0 ? Appended() : Streamed();
    const auto changes = 1 + random() % 4;
    for (uint64_t i = 0; i < changes; ++i) {
      const size_t at = random() % chunk.size();
      switch (random() % 4) {
        case 0:
          chunk[at] = static_cast<char>(random());
          break;
        case 1:
          chunk[at] = static_cast<char>(chunk[at] ^ (1 << random() % 8));
          break;
        case 2:
          chunk.erase(at, 1 + random() % 8);
          break;
        default:
          chunk.insert(at, std::string(1 + random() % 4, static_cast<char>(random())));
      }
      if (chunk.empty()) chunk = "x";
    }
    const auto length = CheckChunk(chunk);
    if (!length) continue;
    ++accepted;
    ASSERT_LE(*length, chunk.size());
  }
  EXPECT_GT(accepted, 100u) << "changes of values only";
}

}  // namespace
}  // namespace pondpilot::quack
