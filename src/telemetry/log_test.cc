#include "telemetry/log.h"

#include <gtest/gtest.h>

namespace pondpilot::telemetry {
namespace {

TEST(LogTest, DocumentedLine) {
  EXPECT_EQ(FormatLine(Level::kInfo, "Container stopped", {{"user_id", "alice"}, {"reason", "idle_timeout"}}),
            "level=info msg=\"Container stopped\" user_id=alice reason=idle_timeout");
}

TEST(LogTest, NumbersAndBooleans) {
  EXPECT_EQ(FormatLine(Level::kWarn, "x", {{"n", 42}, {"ok", false}}), "level=warn msg=\"x\" n=42 ok=false");
}

TEST(LogTest, NoValueCanForgeALineOrAField) {
  EXPECT_EQ(
      FormatLine(Level::kError, "a\"b", {{"user_id", "eve\nlevel=info msg=\"forged\" \x01"}, {"e", ""}}),
      "level=error msg=\"a\\\"b\" user_id=\"eve\\nlevel=info msg=\\\"forged\\\" \\x01\" e=\"\"");
}

}  // namespace
}  // namespace pondpilot::telemetry
