#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "proxy/ai/chat.h"

namespace pondpilot::proxy::ai {
namespace {

using ::testing::HasSubstr;

std::string Refusal(const std::string& body) {
  const auto parsed = ParseChatRequest(body, "claude-default");
  EXPECT_FALSE(parsed.has_value()) << body;
  if (parsed) return "";
  EXPECT_EQ(parsed.error().code, base::ErrorCode::kInvalidArgument);
  return parsed.error().message;
}

TEST(ParseChatTest, TheQuickStartsRequest) {
  const auto parsed = ParseChatRequest(
      R"({"messages": [{"role": "user", "content": "Write a SQL query to find top customers"}],
          "model": "claude-sonnet-4-20250514"})",
      "other");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->model, "claude-sonnet-4-20250514");
  EXPECT_TRUE(parsed->stream);
  ASSERT_EQ(parsed->messages.size(), 1u);
  EXPECT_EQ(parsed->messages[0].role, "user");
  EXPECT_EQ(parsed->messages[0].content, "Write a SQL query to find top customers");
  EXPECT_EQ(parsed->max_tokens, std::nullopt);
}

TEST(ParseChatTest, EveryFieldAndTheDefaults) {
  const auto parsed = ParseChatRequest(
      R"({"system":"Be brief.","stream":false,"max_tokens":10,"temperature":0.5,"model":null,"messages":[
          {"role":"system","content":"Speak SQL."},
          {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
          {"role":"assistant","content":"c"}]})",
      "claude-default");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->model, "claude-default");
  EXPECT_EQ(parsed->system, "Be brief.\n\nSpeak SQL.");
  EXPECT_FALSE(parsed->stream);
  EXPECT_EQ(parsed->max_tokens, 10);
  EXPECT_EQ(parsed->temperature, 0.5);
  ASSERT_EQ(parsed->messages.size(), 2u);
  EXPECT_EQ(parsed->messages[0].content, "ab");
}

TEST(ParseChatTest, ARefusalNamesTheField) {
  const std::string messages = R"("messages":[{"role":"user","content":"x"}])";
  EXPECT_THAT(Refusal(""), HasSubstr("empty"));
  EXPECT_THAT(Refusal("{"), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal("[]"), HasSubstr("object"));
  EXPECT_THAT(Refusal("{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}"), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal("{}"), HasSubstr("\"messages\" is missing"));
  EXPECT_THAT(Refusal(R"({"messages":[]})"), HasSubstr("1 to 1000"));
  EXPECT_THAT(Refusal(R"({"messages":"hi"})"), HasSubstr("list"));
  EXPECT_THAT(Refusal(R"({"messages":[7]})"), HasSubstr("messages[0]"));
  EXPECT_THAT(Refusal(R"({"messages":[{"content":"x"}]})"), HasSubstr("messages[0].role"));
  EXPECT_THAT(Refusal(R"({"messages":[{"role":"root","content":"x"}]})"), HasSubstr("messages[0].role"));
  EXPECT_THAT(Refusal(R"({"messages":[{"role":"user"}]})"), HasSubstr("messages[0].content"));
  EXPECT_THAT(Refusal(R"({"messages":[{"role":"user","content":""}]})"), HasSubstr("empty"));
  EXPECT_THAT(Refusal(R"({"messages":[{"role":"user","content":[{"type":"poem"}]}]})"), HasSubstr("parts"));
  EXPECT_THAT(Refusal(R"({"messages":[{"role":"system","content":"x"}]})"),
              HasSubstr("no message of a user"));
  EXPECT_THAT(Refusal("{" + messages + R"(,"model":""})"), HasSubstr("\"model\""));
  EXPECT_THAT(Refusal("{" + messages + R"(,"model":"a b"})"), HasSubstr("\"model\""));
  EXPECT_THAT(Refusal("{" + messages + R"(,"model":7})"), HasSubstr("\"model\""));
  EXPECT_THAT(Refusal("{" + messages + R"(,"model":")" + std::string(129, 'a') + "\"}"), HasSubstr("128"));
  EXPECT_THAT(Refusal("{" + messages + R"(,"stream":"yes"})"), HasSubstr("\"stream\""));
  for (const char* tokens : {"0", "-1", "1.5", "\"9\"", "1000001", "18446744073709551615", "1e3"}) {
    EXPECT_THAT(Refusal("{" + messages + R"(,"max_tokens":)" + tokens + "}"), HasSubstr("\"max_tokens\""))
        << tokens;
  }
  for (const char* temperature : {"-0.1", "2.1", "\"1\"", "[]"}) {
    EXPECT_THAT(Refusal("{" + messages + R"(,"temperature":)" + temperature + "}"),
                HasSubstr("\"temperature\""));
  }
  EXPECT_THAT(Refusal("{" + messages + R"(,"system":7})"), HasSubstr("\"system\""));
  EXPECT_THAT(Refusal("{" + messages + R"(,"schema":"mydb"})"), HasSubstr("\"schema\""));
  EXPECT_THAT(Refusal("{" + messages + R"(,"format":"xml"})"), HasSubstr("\"openai\""));
  EXPECT_THAT(Refusal("{" + messages + R"(,"max_token":7})"), HasSubstr("Was \"max_tokens\" meant?"));
}

TEST(ParseChatTest, ImagesAreRefusedByName) {
  for (const char* part :
       {R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}})",
        R"({"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}})",
        R"({"type":"input_audio"})", R"({"type":"document"})", R"({"type":"file"})"}) {
    const std::string said = Refusal(
        std::string(R"({"messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},)") +
        part + "]}]}");
    EXPECT_THAT(said, HasSubstr("messages[0].content")) << part;
    EXPECT_THAT(said, HasSubstr("images, audio and files are not supported")) << part;
  }
}

TEST(ParseChatTest, SchemaAndFormat) {
  const std::string messages = R"("messages":[{"role":"user","content":"x"}])";
  const auto plain = ParseChatRequest("{" + messages + R"(,"schema":null,"format":null})", "m");
  ASSERT_TRUE(plain.has_value());
  EXPECT_FALSE(plain->schema);
  EXPECT_EQ(plain->format, ChatFormat::kEvents);
  const auto both = ParseChatRequest("{" + messages + R"(,"schema":true,"format":"openai"})", "m");
  ASSERT_TRUE(both.has_value());
  EXPECT_TRUE(both->schema);
  EXPECT_EQ(both->format, ChatFormat::kOpenAi);
  EXPECT_EQ(ParseChatRequest("{" + messages + R"(,"format":"events"})", "m")->format, ChatFormat::kEvents);
}

TEST(ParseChatTest, NoJunkCrashes) {
  const std::string good =
      R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"model":"m","max_tokens":5})";
  std::mt19937 random(20260202);
  for (int i = 0; i < 20'000; ++i) {
    std::string body = good;
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      const size_t at = random() % body.size();
      if (random() % 2 == 0) {
        body[at] = good[random() % good.size()];
      } else {
        body.erase(at, 1 + random() % 5);
        if (body.empty()) body = "{";
      }
    }
    const auto parsed = ParseChatRequest(body, "d");
    if (parsed) {
      EXPECT_FALSE(parsed->messages.empty());
    }
  }
  EXPECT_THAT(Refusal(std::string(500'000, '[')), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal(std::string(200'000, '[') + std::string(200'000, ']')), HasSubstr("object"));
}

TEST(ParseEmbedTest, OneTextOrSeveral) {
  const auto one =
      ParseEmbedRequest(R"({"input":"customer revenue analysis","model":"text-embedding-3-small"})");
  ASSERT_TRUE(one.has_value()) << one.error().message;
  EXPECT_EQ(one->inputs, std::vector<std::string>{"customer revenue analysis"});
  const auto two = ParseEmbedRequest(R"({"input":["a","b"],"model":"m"})");
  ASSERT_TRUE(two.has_value());
  EXPECT_EQ(two->inputs.size(), 2u);
  for (const char* body :
       {"{}", R"({"input":"a"})", R"({"model":"m"})", R"({"input":[],"model":"m"})",
        R"({"input":[7],"model":"m"})", R"({"input":"","model":"m"})", R"({"input":["a",""],"model":"m"})",
        R"({"input":{},"model":"m"})", R"({"input":"a","model":"m","dimensions":3})"}) {
    EXPECT_FALSE(ParseEmbedRequest(body).has_value()) << body;
  }
}

}  // namespace
}  // namespace pondpilot::proxy::ai
