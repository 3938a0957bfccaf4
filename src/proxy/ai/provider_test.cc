#include "proxy/ai/provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace pondpilot::proxy::ai {
namespace {

using nlohmann::json;

ChatRequest Question() {
  ChatRequest request;
  request.model = "some-model";
  request.system = "Be brief.";
  request.messages = {{"user", "Hello"}, {"assistant", "Yes?"}, {"user", "1+1"}};
  request.temperature = 1.5;
  request.max_tokens = 100;
  return request;
}

TEST(AnthropicTest, EncodesTheMessagesApi) {
  const auto provider = MakeAnthropic("http://gateway/base/", base::Secret("key-1"));
  const UpstreamRequest request = provider->Encode(Question());
  EXPECT_EQ(request.url, "http://gateway/base/v1/messages");
  EXPECT_THAT(request.headers,
              ::testing::UnorderedElementsAre(::testing::Pair("x-api-key", "key-1"),
                                              ::testing::Pair("anthropic-version", "2023-06-01")));
  EXPECT_EQ(json::parse(request.body), json::parse(R"({"model":"some-model","max_tokens":100,"stream":true,
      "system":"Be brief.","temperature":1.0,"messages":[{"role":"user","content":"Hello"},
      {"role":"assistant","content":"Yes?"},{"role":"user","content":"1+1"}]})"));
  ChatRequest plain;
  plain.model = "m";
  plain.stream = false;
  plain.messages = {{"user", "x"}};
  EXPECT_EQ(
      json::parse(provider->Encode(plain).body),
      json::parse(
          R"({"model":"m","max_tokens":4096,"stream":false,"messages":[{"role":"user","content":"x"}]})"));
}

TEST(AnthropicTest, DecodesItsStream) {
  const auto decoder = MakeAnthropic("http://x", base::Secret("k"))->NewDecoder();
  std::string text;
  bool ended = false;
  for (
      const char* data :
      {R"({"type":"message_start","message":{"id":"m","model":"claude-x","usage":{"input_tokens":25,"output_tokens":1}}})",
       R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})",
       R"({"type":"ping"})",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}})",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}})",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}})",
       R"({"type":"content_block_stop","index":0})",
       R"({"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":15}})",
       R"({"type":"message_stop"})"}) {
    const auto step = decoder->Decode({"", data});
    ASSERT_TRUE(step.has_value()) << data;
    EXPECT_FALSE(ended);
    text += step->text;
    ended = step->ended;
  }
  EXPECT_TRUE(ended);
  EXPECT_EQ(text, "Hello");
  EXPECT_EQ(decoder->end().model, "claude-x");
  EXPECT_EQ(decoder->end().stop_reason, "max_tokens");
  EXPECT_EQ(decoder->end().usage.input_tokens, 25);
  EXPECT_EQ(decoder->end().usage.output_tokens, 15);
}

TEST(AnthropicTest, ErrorsInTheMiddle) {
  const auto decoder = MakeAnthropic("http://x", base::Secret("k"))->NewDecoder();
  const auto failed = decoder->Decode(
      {"error", R"({"type":"error","error":{"type":"overloaded_error","message":"secret host"}})"});
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, "ai_interrupted");
  EXPECT_THAT(failed.error().detail, ::testing::HasSubstr("overloaded_error"));
  EXPECT_THAT(failed.error().detail, ::testing::Not(::testing::HasSubstr("secret host")));
  EXPECT_EQ(decoder->Decode({"", "nonsense"}).error().code, "ai_bad_answer");
}

TEST(AnthropicTest, DecodesAReply) {
  const auto provider = MakeAnthropic("http://x", base::Secret("k"));
  const auto reply = provider->DecodeReply(
      R"({"model":"claude-x","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"a"},
          {"type":"text","text":"b"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":4}})");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->text, "ab");
  EXPECT_EQ(reply->end.stop_reason, "end_turn");
  EXPECT_EQ(reply->end.usage.output_tokens, 4);
  for (const char* body : {"", "[]", "{}", R"({"content":"x"})", "<html>"}) {
    EXPECT_EQ(provider->DecodeReply(body).error().code, "ai_bad_answer") << body;
  }
}

TEST(OpenAiTest, EncodesChatCompletions) {
  const auto provider = MakeOpenAi("http://ollama:11434/v1", base::Secret("key-2"));
  const UpstreamRequest request = provider->Encode(Question());
  EXPECT_EQ(request.url, "http://ollama:11434/v1/chat/completions");
  EXPECT_THAT(request.headers, ::testing::ElementsAre(::testing::Pair("Authorization", "Bearer key-2")));
  EXPECT_EQ(json::parse(request.body), json::parse(R"({"model":"some-model","max_tokens":100,"stream":true,
      "stream_options":{"include_usage":true},"temperature":1.5,"messages":[{"role":"system","content":"Be brief."},
      {"role":"user","content":"Hello"},{"role":"assistant","content":"Yes?"},{"role":"user","content":"1+1"}]})"));
  const auto original = MakeOpenAi("https://api.openai.com/v1", base::Secret("k"));
  EXPECT_EQ(json::parse(original->Encode(Question()).body)["max_completion_tokens"], 100);
}

TEST(OpenAiTest, DecodesItsStream) {
  const auto decoder = MakeOpenAi("http://x", base::Secret("k"))->NewDecoder();
  std::string text;
  bool ended = false;
  for (
      const char* data :
      {R"({"model":"gpt-x","choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null})",
       R"({"model":"gpt-x","choices":[{"delta":{"content":"Hel"},"finish_reason":null}]})",
       R"({"model":"gpt-x","choices":[{"delta":{"content":"lo"}}]})",
       R"({"model":"gpt-x","choices":[{"delta":{"content":null},"finish_reason":"stop"}]})",
       R"({"model":"gpt-x","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}})", "[DONE]"}) {
    const auto step = decoder->Decode({"", data});
    ASSERT_TRUE(step.has_value()) << data;
    EXPECT_FALSE(ended);
    text += step->text;
    ended = step->ended;
  }
  EXPECT_TRUE(ended);
  EXPECT_EQ(text, "Hello");
  EXPECT_EQ(decoder->end().model, "gpt-x");
  EXPECT_EQ(decoder->end().stop_reason, "end_turn");
  EXPECT_EQ(decoder->end().usage.input_tokens, 7);
  EXPECT_EQ(decoder->end().usage.output_tokens, 2);
  EXPECT_EQ(decoder->Decode({"", R"({"error":{"message":"x","type":"server_error"}})"}).error().code,
            "ai_interrupted");
  EXPECT_EQ(decoder->Decode({"", "7"}).error().code, "ai_bad_answer");
}

TEST(OpenAiTest, DecodesAReply) {
  const auto provider = MakeOpenAi("http://x", base::Secret("k"));
  const auto reply = provider->DecodeReply(
      R"({"model":"gpt-x","choices":[{"message":{"content":"Hi"},"finish_reason":"length"}],
          "usage":{"prompt_tokens":1,"completion_tokens":2}})");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->text, "Hi");
  EXPECT_EQ(reply->end.stop_reason, "max_tokens");
  EXPECT_EQ(provider->DecodeReply(R"({"choices":[]})").error().code, "ai_bad_answer");
}

TEST(EmbedTest, KeepsTheOrderOfTheInputs) {
  const auto embeddings = DecodeEmbed(
      R"({"model":"m","data":[{"index":1,"embedding":[3,4.5]},{"index":0,"embedding":[-1,2e-3]}],
          "usage":{"prompt_tokens":9,"total_tokens":9}})",
      2);
  ASSERT_TRUE(embeddings.has_value());
  EXPECT_EQ(embeddings->vectors, (std::vector<std::vector<double>>{{-1, 2e-3}, {3, 4.5}}));
  EXPECT_EQ(embeddings->usage.input_tokens, 9);
  for (const char* body :
       {"", "{}", R"({"data":[]})", R"({"data":[{"embedding":[1]}]})",
        R"({"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]})",
        R"({"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[2]}]})",
        R"({"data":[{"index":0,"embedding":["x"]},{"index":1,"embedding":[2]}]})",
        R"({"data":[{"index":0,"embedding":[]},{"index":1,"embedding":[2]}]})", R"({"data":[1,2]})",
        R"({"data":[{"index":-1,"embedding":[1]},{"index":1,"embedding":[2]}]})"}) {
    ASSERT_FALSE(DecodeEmbed(body, 2).has_value()) << body;
    EXPECT_EQ(DecodeEmbed(body, 2).error().code, "ai_bad_answer");
  }
}

}  // namespace
}  // namespace pondpilot::proxy::ai
