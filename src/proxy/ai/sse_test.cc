#include "proxy/ai/sse.h"

#include <gtest/gtest.h>

namespace pondpilot::proxy::ai {
namespace {

using Events = std::vector<std::pair<std::string, std::string>>;

Events Read(const std::string& text, size_t piece) {
  SseParser parser;
  Events out;
  for (size_t at = 0; at < text.size(); at += piece) {
    const auto events = parser.Feed(std::string_view(text).substr(at, piece));
    EXPECT_TRUE(events.has_value());
    for (const SseEvent& event : *events) out.emplace_back(event.name, event.data);
  }
  return out;
}

TEST(SseParserTest, ReadsPiecesOfAnySizeAndEveryLineEnd) {
  const Events expected = {{"a", "one"}, {"", "two\nlines"}, {"b", ""}, {"", " x"}};
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    std::string text;
    for (const char* line :
         {"event: a", "data: one", "", ": a comment", "data: two", "data:lines", "", "event: c", "",
          "event:b", "data", "", "id: 7", "data:  x", "", "data: not ended"}) {
      text += line + end;
    }
    for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, text.size()}) {
      EXPECT_EQ(Read(text, piece), expected) << piece;
    }
  }
}

TEST(SseParserTest, AnEventWithoutEndIsRefused) {
  SseParser parser;
  const std::string piece(64 << 10, 'x');
  bool refused = false;
  for (int i = 0; i < 20 && !refused; ++i) refused = !parser.Feed(piece).has_value();
  EXPECT_TRUE(refused);
  SseParser lines;
  refused = false;
  for (int i = 0; i < 20 && !refused; ++i) refused = !lines.Feed("data: " + piece + "\n").has_value();
  EXPECT_TRUE(refused);
}

TEST(SseParserTest, ReadsWhatFormatSseWrites) {
  EXPECT_EQ(Read(FormatSse("delta", R"({"text":"x"})"), 5), (Events{{"delta", R"({"text":"x"})"}}));
}

}  // namespace
}  // namespace pondpilot::proxy::ai
