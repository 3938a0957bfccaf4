#include "proxy/ai/chat_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "proxy/ai/sse.h"

namespace pondpilot::proxy::ai {
namespace {

using nlohmann::json;

const ChatEnd kEnd{"model-1", "max_tokens", {12, 40}};

ChatHeading Heading() { return {"id-7", "model", base::Clock::Wall(std::chrono::seconds(1'800'000'000))}; }

std::vector<SseEvent> Events(const std::string& text) {
  SseParser parser;
  return parser.Feed(text).value();
}

TEST(ChatFormatTest, OwnEvents) {
  const auto writer = MakeChatWriter(ChatFormat::kEvents, Heading());
  EXPECT_EQ(writer->Delta("a\n\"b\""), "event: delta\ndata: {\"text\":\"a\\n\\\"b\\\"\"}\n\n");
  EXPECT_EQ(writer->Done(kEnd),
            "event: done\ndata: {\"model\":\"model-1\",\"stop_reason\":\"max_tokens\",\"usage\":"
            "{\"input_tokens\":12,\"output_tokens\":40}}\n\n");
  const auto failed = Events(writer->Failed({502, "ai_interrupted", "Broke off", "It broke off.", {}}));
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].name, "error");
  EXPECT_EQ(json::parse(failed[0].data)["request_id"], "id-7");
  EXPECT_EQ(json::parse(writer->Whole({"Hi", {"", "end_turn", {}}})),
            json::parse(R"({"model":"model","text":"Hi","stop_reason":"end_turn",
                            "usage":{"input_tokens":0,"output_tokens":0}})"));
}

TEST(ChatFormatTest, OpenAiChunks) {
  const auto writer = MakeChatWriter(ChatFormat::kOpenAi, Heading());
  std::string text = writer->Delta("SELECT");
  text += writer->Delta(" 42");
  text += writer->Done(kEnd);
  const auto events = Events(text);
  ASSERT_EQ(events.size(), 6u);
  const auto chunk = [&](size_t i) { return json::parse(events[i].data); };
  EXPECT_EQ(chunk(0),
            json::parse(R"({"id":"chatcmpl-id-7","object":"chat.completion.chunk","created":1800000000,
      "model":"model","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]})"));
  EXPECT_EQ(chunk(1)["choices"][0]["delta"], json::parse(R"({"content":"SELECT"})"));
  EXPECT_EQ(chunk(2)["choices"][0]["delta"], json::parse(R"({"content":" 42"})"));
  EXPECT_EQ(chunk(3)["choices"], json::parse(R"([{"index":0,"delta":{},"finish_reason":"length"}])"));
  EXPECT_EQ(chunk(4)["choices"], json::array());
  EXPECT_EQ(chunk(4)["usage"],
            json::parse(R"({"prompt_tokens":12,"completion_tokens":40,"total_tokens":52})"));
  EXPECT_EQ(events[5].data, "[DONE]");
  for (const SseEvent& event : events) EXPECT_EQ(event.name, "");
}

TEST(ChatFormatTest, OpenAiSaysWhoSpeaksAlsoWithoutText) {
  const auto events = Events(MakeChatWriter(ChatFormat::kOpenAi, Heading())->Done(kEnd));
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(json::parse(events[0].data)["choices"][0]["delta"]["role"], "assistant");
}

TEST(ChatFormatTest, OpenAiErrorsAndDocuments) {
  const auto writer = MakeChatWriter(ChatFormat::kOpenAi, Heading());
  const auto failed = Events(writer->Failed({502, "ai_interrupted", "Broke off", "It broke off.", {}}));
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(
      json::parse(failed[0].data),
      json::parse(R"({"error":{"message":"It broke off.","type":"Broke off","code":"ai_interrupted"}})"));
  EXPECT_EQ(
      json::parse(writer->Whole({"Hi", {"model-1", "refusal", {1, 2}}})),
      json::parse(R"({"id":"chatcmpl-id-7","object":"chat.completion","created":1800000000,"model":"model-1",
                "choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"content_filter"}],
                "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}})"));
}

TEST(ChatFormatTest, BytesThatAreNoTextAreReplaced) {
  for (const ChatFormat format : {ChatFormat::kEvents, ChatFormat::kOpenAi}) {
    EXPECT_THAT(MakeChatWriter(format, Heading())->Delta("\xff"), ::testing::HasSubstr("\xEF\xBF\xBD"));
  }
}

}  // namespace
}  // namespace pondpilot::proxy::ai
