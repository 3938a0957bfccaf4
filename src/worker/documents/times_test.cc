#include "worker/documents/times.h"

#include <gtest/gtest.h>

#include <chrono>
#include <format>
#include <limits>

namespace pondpilot::worker::documents {
namespace {

std::string Date(int64_t days) {
  std::string out;
  AppendDate(days, out);
  return out;
}
std::string Timestamp(int64_t ticks, int64_t per_second) {
  std::string out;
  AppendTimestamp(ticks, per_second, out);
  return out;
}
std::string Interval(int64_t months, int64_t days, int64_t nanoseconds) {
  std::string out;
  AppendInterval(months, days, nanoseconds, out);
  return out;
}

TEST(TimesTest, DatesAreThoseOfTheStandardLibrary) {
  // Every day from 0000 to 9999 that chrono can print in the same form, in steps that meet all months.
  for (int64_t days = -719'528; days < 2'932'897; days += 13) {
    const std::chrono::sys_days day{std::chrono::days(days)};
    ASSERT_EQ(Date(days), std::format("{:%Y-%m-%d}", std::chrono::year_month_day(day))) << days;
  }
}

TEST(TimesTest, YearsOutsideFourDigitsHaveASign) {
  EXPECT_EQ(Date(2'932'897), "+10000-01-01");
  EXPECT_EQ(Date(-719'529), "-0001-12-31");
  EXPECT_EQ(Date(2'147'483'646), "+5881580-07-10");
  EXPECT_EQ(Date(-2'147'483'646), "-5877641-06-25");
}

TEST(TimesTest, Timestamps) {
  EXPECT_EQ(Timestamp(0, 1), "1970-01-01T00:00:00");
  EXPECT_EQ(Timestamp(-1, 1'000'000), "1969-12-31T23:59:59.999999");
  EXPECT_EQ(Timestamp(1'500, 1'000), "1970-01-01T00:00:01.5");
  EXPECT_EQ(Timestamp(1, 1'000'000'000), "1970-01-01T00:00:00.000000001");
  EXPECT_EQ(Timestamp(std::numeric_limits<int64_t>::max() - 1, 1'000'000), "+294247-01-10T04:00:54.775806");
  EXPECT_EQ(Timestamp(std::numeric_limits<int64_t>::min(), 1'000'000'000), "1677-09-21T00:12:43.145224192");
}

TEST(TimesTest, Intervals) {
  EXPECT_EQ(Interval(0, 0, 0), "PT0S");
  EXPECT_EQ(Interval(14, 3, 14'706'700'000'000), "P1Y2M3DT4H5M6.7S");
  EXPECT_EQ(Interval(-1, 2, -1), "P-1M2DT-0.000000001S");
  EXPECT_EQ(Interval(0, 0, -3'600'500'000'000), "PT-1H-0.5S");
  EXPECT_EQ(Interval(0, 0, 60'000'000'000), "PT1M");
}

}  // namespace
}  // namespace pondpilot::worker::documents
