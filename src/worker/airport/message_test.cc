#include "worker/airport/message.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace pondpilot::worker::airport {
namespace {

std::string Bytes(std::string_view hex) { return base::FromHex(hex).value(); }

Message Read(std::string_view hex) {
  auto message = Unpack(Bytes(hex));
  EXPECT_TRUE(message.has_value()) << hex;
  return message ? *message : Message();
}

TEST(MessageTest, TextComesAsStrOrBinInKeysAndValues) {
  // {"catalog_name": "mydb"}, every way: fixstr, str 8, str 16, str 32, bin 8, bin 16, bin 32
  const std::string key = base::ToHex("catalog_name");
  const std::string value = base::ToHex("mydb");
  for (const char* key_head : {"ac", "d90c", "da000c", "db0000000c", "c40c", "c5000c", "c60000000c"}) {
    for (const char* value_head : {"a4", "d904", "da0004", "db00000004", "c404", "c50004", "c600000004"}) {
      const Message message = Read("81" + std::string(key_head) + key + value_head + value);
      EXPECT_EQ(TextAt(message, {"catalog_name"}).value_or("?"), "mydb") << key_head << " " << value_head;
    }
  }
}

TEST(MessageTest, KeysAsBinStandAnywhere) {
  // {bin"a": {bin"b": [{bin"c": 1}, bin"d"]}, bin"e": bin"f"}
  const Message message = Read("82c4016181c401629281c4016301c40164c40165c40166");
  EXPECT_EQ(message.at("a").at("b").at(0).at("c"), 1);
  EXPECT_TRUE(message.at("a").at("b").at(1).is_binary());
  EXPECT_EQ(TextAt(message, {"e"}).value_or("?"), "f");
  // Behind an empty map and an empty list as well.
  const Message after = Read("83c4016180c4016290c40163c3");
  EXPECT_TRUE(FlagAt(after, "c").value_or(false));
}

TEST(MessageTest, UnknownKeysAreNobodysBusiness) {
  const Message message = Read("82a7756e6b6e6f776e93010203a16101");
  EXPECT_EQ(message.at("a"), 1);
  EXPECT_EQ(TextOr(message, {"catalog_name"}).value_or("?"), "");
  EXPECT_FALSE(TextAt(message, {"catalog_name"}).has_value());
}

TEST(MessageTest, NilIsLikeMissing) {
  const Message message = Read("83a161c0a162c0a163c0");
  EXPECT_EQ(TextOr(message, {"a"}).value_or("?"), "");
  EXPECT_FALSE(FlagAt(message, "b").value());
  EXPECT_FALSE(NumbersAt(message, "c").value().has_value());
  EXPECT_TRUE(TextsAt(message, "c").value().empty());
}

TEST(MessageTest, TheFirstNameThatIsThereCounts) {
  const Message message = Read("81a7636174616c6f67a178");
  EXPECT_EQ(TextAt(message, {"catalog_name", "catalog"}).value_or("?"), "x");
}

TEST(MessageTest, WhatIsOfAnotherKindIsRefused) {
  const Message message = Read("84a16101a162a178a16392a178a179a164920103");
  EXPECT_FALSE(TextAt(message, {"a"}).has_value());
  EXPECT_FALSE(FlagAt(message, "b").has_value());
  EXPECT_FALSE(NumbersAt(message, "c").has_value());
  EXPECT_FALSE(NumbersAt(message, "a").has_value());
  EXPECT_FALSE(TextsAt(message, "d").has_value());
  EXPECT_FALSE(TextAt(Read("93010203"), {"a"}).has_value());
}

TEST(MessageTest, NumbersReachTheLastColumn) {
  const Message message = Read("81a16392cfffffffffffffffff00");
  EXPECT_EQ(NumbersAt(message, "c").value(), (std::vector<uint64_t>{UINT64_MAX, 0}));
  EXPECT_FALSE(NumbersAt(Read("81a16391ff"), "c").has_value());  // -1
}

TEST(MessageTest, BytesThatAreNoMessageAreRefused) {
  for (const char* hex : {"", "81", "81a1", "81a161", "c1", "81a16101ff00", "8101a161", "dfffffffff",
                          "ddffffffff", "c6ffffffff61", "dbffffffff61", "8191a16101", "81c8000000"}) {
    const auto message = Unpack(Bytes(hex));
    ASSERT_FALSE(message.has_value()) << hex;
    EXPECT_EQ(message.error().code, base::ErrorCode::kInvalidArgument);
  }
}

TEST(MessageTest, DepthAndSizeAreBounded) {
  EXPECT_TRUE(Unpack(std::string(kMaxDepth - 1, '\x91') + "\x90").has_value());
  EXPECT_FALSE(Unpack(std::string(kMaxDepth, '\x91') + "\x90").has_value());
  EXPECT_FALSE(Unpack(std::string(5'000'000, '\x91')).has_value());
  EXPECT_FALSE(Unpack(std::string(5'000'000, '\x81')).has_value());
  std::string many = Bytes("dd00030d41");  // 200,001 values
  many.append(200'001, '\x01');
  EXPECT_FALSE(Unpack(many).has_value());
}

TEST(MessageTest, KeysAreBounded) {
  const auto with_keys = [](size_t count) {
    std::string map = Bytes("de");  // map 16
    map += static_cast<char>(count >> 8);
    map += static_cast<char>(count & 0xff);
    for (size_t i = 0; i < count; ++i) {
      const std::string key = std::to_string(i + 1000);
      map += static_cast<char>(0xa0 + key.size());
      map += key + "\xc0";
    }
    return map;
  };
  EXPECT_EQ(Unpack(with_keys(kMaxKeys))->size(), kMaxKeys);
  EXPECT_FALSE(Unpack(with_keys(kMaxKeys + 1)).has_value());
  // Each key is looked for among those before it: of these bytes that would be two thousand million times.
  EXPECT_FALSE(Unpack(with_keys(65'535)).has_value());
  const auto with_key_of = [](size_t bytes) {
    std::string map = Bytes("81da");  // map 1, str 16
    map += static_cast<char>(bytes >> 8);
    map += static_cast<char>(bytes & 0xff);
    return map + std::string(bytes, 'k') + "\xc0";
  };
  EXPECT_TRUE(Unpack(with_key_of(kMaxKeyBytes)).has_value());
  EXPECT_FALSE(Unpack(with_key_of(kMaxKeyBytes + 1)).has_value());
}

TEST(MessageTest, RepliesAreTheseBytes) {
  EXPECT_EQ(base::ToHex(Pack(Message{{"identifier", nullptr}})), "81aa6964656e746966696572c0");
  EXPECT_EQ(base::ToHex(Pack(Message{{"identifier", "abc"}})), "81aa6964656e746966696572a3616263");
  EXPECT_EQ(base::ToHex(Pack(Message{{"catalog_version", uint64_t{1} << 62}, {"is_fixed", false}})),
            "82af636174616c6f675f76657273696f6ecf4000000000000000a869735f6669786564c2");
  EXPECT_EQ(base::ToHex(Pack(Message{{"total_changed", uint64_t{300}}})),
            "81ad746f74616c5f6368616e676564cd012c");
  EXPECT_EQ(base::ToHex(Pack(Message{{"progress", 0.5}})).substr(0, 20), "81a870726f6772657373");
  EXPECT_EQ(base::ToHex(Pack(Message::array({uint32_t{70000}, Binary("zstd")}))), "92ce00011170c4047a737464");
  EXPECT_EQ(base::ToHex(Pack(Message::array())), "90");
}

}  // namespace
}  // namespace pondpilot::worker::airport
