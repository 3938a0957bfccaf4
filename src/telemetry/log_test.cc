#include "telemetry/log.h"

#include <gtest/gtest.h>

#include <thread>

namespace pondpilot::telemetry {
namespace {

TEST(LogTest, DocumentedLine) {
  EXPECT_EQ(FormatLine(Level::kInfo, "Container stopped", {{"user_id", "alice"}, {"reason", "idle_timeout"}}),
            "level=info msg=\"Container stopped\" user_id=alice reason=idle_timeout");
}

TEST(LogTest, NumbersAndBooleans) {
  EXPECT_EQ(FormatLine(Level::kWarn, "x", {{"n", 42}, {"ok", false}}), "level=warn msg=\"x\" n=42 ok=false");
}

TEST(LogTest, AScopeSaysWhichRequest) {
  const auto line = [] { return FormatLine(Level::kInfo, "x", {{"n", 1}}); };
  {
    const LogScope scope("id 7", "4bf92f35");
    EXPECT_EQ(line(), "level=info msg=\"x\" n=1 request_id=\"id 7\" trace_id=4bf92f35");
    {
      const LogScope inner("id-8", "");
      EXPECT_EQ(line(), "level=info msg=\"x\" n=1 request_id=id-8");
    }
    std::thread([&] { EXPECT_EQ(line(), "level=info msg=\"x\" n=1"); }).join();
    EXPECT_EQ(line(), "level=info msg=\"x\" n=1 request_id=\"id 7\" trace_id=4bf92f35");
  }
  EXPECT_EQ(line(), "level=info msg=\"x\" n=1");
}

TEST(LogTest, NoValueCanForgeALineOrAField) {
  EXPECT_EQ(
      FormatLine(Level::kError, "a\"b", {{"user_id", "eve\nlevel=info msg=\"forged\" \x01"}, {"e", ""}}),
      "level=error msg=\"a\\\"b\" user_id=\"eve\\nlevel=info msg=\\\"forged\\\" \\x01\" e=\"\"");
}

}  // namespace
}  // namespace pondpilot::telemetry
