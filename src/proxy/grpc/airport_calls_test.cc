#include "proxy/grpc/airport_calls.h"

#include <gtest/gtest.h>

#include <string>

namespace pondpilot::proxy::grpc {
namespace {

// Action{type, body} of Flight.proto; at most 127 bytes each.
std::string Action(const std::string& type, const std::string& body) {
  return "\x0a" + std::string(1, static_cast<char>(type.size())) + type + "\x12" +
         std::string(1, static_cast<char>(body.size())) + body;
}

bool Accompanies(const std::string& bytes) {
  const ::grpc::Slice slice(bytes);
  return AccompaniesStatement(::grpc::ByteBuffer(&slice, 1));
}

TEST(AirportCallsTest, WhatComesWithEachStatementIsKnown) {
  EXPECT_TRUE(Accompanies(Action("create_transaction", "\x80")));
  EXPECT_TRUE(Accompanies(Action("catalog_version", "\x80")));
  EXPECT_TRUE(Accompanies(Action("column_statistics", "\x80")));
  EXPECT_TRUE(
      Accompanies("\x0a\x0f"
                  "catalog_version"));
}

TEST(AirportCallsTest, WhatRunsSomethingCounts) {
  for (const char* type :
       {"endpoints", "flight_info", "list_schemas", "create_table", "CreatePreparedStatement", "", "x"})
    EXPECT_FALSE(Accompanies(Action(type, "\x80"))) << type;
}

TEST(AirportCallsTest, WhatCouldBeReadOtherwiseCounts) {
  const std::string harmless = Action("catalog_version", "\x80");
  EXPECT_FALSE(Accompanies(""));
  EXPECT_FALSE(Accompanies(harmless + Action("endpoints", "")));
  EXPECT_FALSE(Accompanies("\x12\x01\x80" + harmless));
  EXPECT_FALSE(Accompanies(harmless.substr(0, harmless.size() - 1)));
  EXPECT_FALSE(Accompanies("\x0a\xff\xff\xff\xff\x0f"));
  EXPECT_FALSE(
      Accompanies("\x0a\x0f"
                  "catalog_version\x12\xff\xff\xff\xff\x0f"));
  for (size_t i = 0; i + 1 < harmless.size(); ++i) {
    if (i == 17) continue;  // without its body it is the same action
    EXPECT_FALSE(Accompanies(harmless.substr(0, i))) << i;
  }
}

}  // namespace
}  // namespace pondpilot::proxy::grpc
