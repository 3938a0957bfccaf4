#include "config/values.h"

#include <gtest/gtest.h>

namespace pondpilot::config {
namespace {

using std::chrono::milliseconds;

TEST(ValuesTest, IntegersAreDigitsOnly) {
  EXPECT_EQ(ParseInteger("0"), 0u);
  EXPECT_EQ(ParseInteger("8080"), 8080u);
  EXPECT_EQ(ParseInteger("999999999999999999"), 999999999999999999u);
  for (const char* bad :
       {"", "-1", "+1", " 1", "1 ", "1.0", "0x10", "010", "1_000", "1e3", "1000000000000000000", "٣"}) {
    EXPECT_EQ(ParseInteger(bad), std::nullopt) << bad;
  }
}

TEST(ValuesTest, NumbersHaveNoSignExponentOrNan) {
  EXPECT_EQ(ParseNumber("0.5"), 0.5);
  EXPECT_EQ(ParseNumber("2"), 2.0);
  EXPECT_EQ(ParseNumber("12.25"), 12.25);
  for (const char* bad :
       {"", ".", ".5", "1.", "-1", "1e3", "nan", "inf", ".inf", ".nan", "1.2.3", "1,5", "0x1", "NaN"}) {
    EXPECT_EQ(ParseNumber(bad), std::nullopt) << bad;
  }
}

TEST(ValuesTest, BooleansInAnyCase) {
  for (const char* yes : {"true", "True", "YES", "on", "1"}) EXPECT_EQ(ParseBool(yes), true) << yes;
  for (const char* no : {"false", "FALSE", "no", "Off", "0"}) EXPECT_EQ(ParseBool(no), false) << no;
  for (const char* bad : {"", "2", "y", "n", "enabled", "tru"})
    EXPECT_EQ(ParseBool(bad), std::nullopt) << bad;
}

TEST(ValuesTest, Durations) {
  EXPECT_EQ(ParseDuration("500ms"), milliseconds(500));
  EXPECT_EQ(ParseDuration("30s"), milliseconds(30'000));
  EXPECT_EQ(ParseDuration("5m"), milliseconds(300'000));
  EXPECT_EQ(ParseDuration("1h"), milliseconds(3'600'000));
  for (const char* bad : {"", "5", "m", "5 m", "5M", "5d", "1.5h", "-5m", "1h30m", "5mm", "9999999999999h",
                          "99999999999999999999h"}) {
    EXPECT_EQ(ParseDuration(bad), std::nullopt) << bad;
  }
}

TEST(ValuesTest, Sizes) {
  EXPECT_EQ(ParseSize("512m"), 512ull << 20);
  EXPECT_EQ(ParseSize("1g"), 1ull << 30);
  EXPECT_EQ(ParseSize("512MB"), 512ull << 20);
  EXPECT_EQ(ParseSize("64k"), 64ull << 10);
  EXPECT_EQ(ParseSize("100b"), 100u);
  EXPECT_EQ(ParseSize("1048576"), 1048576u);
  for (const char* bad : {"", "m", "1t", "1.5g", "-1g", "1 g", "1gbb", "1bm", "512mib", "1000000000000g",
                          "99999999999999999999"}) {
    EXPECT_EQ(ParseSize(bad), std::nullopt) << bad;
  }
}

TEST(ValuesTest, WhatIsFormattedReadsBackTheSame) {
  for (const int64_t count : {0, 1, 999, 1000, 60'000, 61'000, 3'600'000, 3'601'000}) {
    EXPECT_EQ(ParseDuration(FormatDuration(milliseconds(count))), milliseconds(count)) << count;
  }
  for (const uint64_t bytes :
       {uint64_t{0}, uint64_t{1}, uint64_t{1024}, uint64_t{1} << 20, uint64_t{3} << 29}) {
    EXPECT_EQ(ParseSize(FormatSize(bytes)), bytes) << bytes;
  }
  for (const double number : {0.0, 0.05, 0.5, 1.0, 256.0})
    EXPECT_EQ(ParseNumber(FormatNumber(number)), number);
  EXPECT_EQ(FormatDuration(std::chrono::minutes(5)), "5m");
  EXPECT_EQ(FormatSize(512ull << 20), "512m");
}

TEST(ValuesTest, QuotedTextStaysOnOneLineAndIsBounded) {
  EXPECT_EQ(Quote("plain"), "\"plain\"");
  EXPECT_EQ(Quote("a\nb\"c\\d\x7f"), R"("a\x0ab\"c\\d\x7f")");
  EXPECT_EQ(Quote(std::string(61, 'x')), "\"" + std::string(60, 'x') + "\"…");
}

}  // namespace
}  // namespace pondpilot::config
