#include "proxy/ai/redactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pondpilot::proxy::ai {
namespace {

using testing::HasSubstr;
using testing::Not;

const char* const kKey = "sk-proj-Ab3dEfGh1jKlMn0pQrStUvWx-Yz12";

std::string Redacted(std::string_view text, size_t most_bytes = 500) {
  const Redactor redactor({base::Secret(kKey), base::Secret("")},
                          {"http://vllm.models.example:8000/v1", "https://api.openai.com/v1"});
  return redactor.Redact(text, most_bytes);
}

TEST(RedactorTest, HidesAKeyAndItsParts) {
  for (const char* quoted :
       {"sk-proj-Ab3dEfGh1jKlMn0pQrStUvWx-Yz12", "SK-PROJ-AB3DEFGH1JKLMN0PQRSTUVWX-YZ12",
        "Bearer:sk-proj-Ab3dEfGh1jKlMn0pQrStUvWx-Yz12", "x=sk-proj-Ab3dEfGh1", "sk-proj-Ab3d", "UvWx-Yz12",
        "sk-pr****Yz12", "sk-p...Yz12", "sk-p…Yz12", "Yz12", "********", "sk-ant-api03-0123456789abcdefghij",
        "xoxb-1234567890abcdefghij12"}) {
    const std::string text = Redacted("Incorrect API key provided: " + std::string(quoted) + ". Check it.");
    EXPECT_EQ(text, "Incorrect API key provided: [hidden]. Check it.") << quoted;
    EXPECT_EQ(Redacted("key '" + std::string(quoted) + "'"), "key '[hidden]'") << quoted;
  }
}

TEST(RedactorTest, HidesTheBeginningOfAKeyThatIsLeftOpen) {
  EXPECT_EQ(Redacted("key sk-p..."), "key [hidden]");
}

TEST(RedactorTest, HidesWhereTheProviderIs) {
  EXPECT_THAT(Redacted("at [fd00::1]:8000"), Not(HasSubstr("fd00")));
  for (const char* place :
       {"http://vllm.models.example:8000/v1/chat/completions", "https://user:pw@api.openai.com/v1",
        "http://10.0.0.7", "vllm.models.example", "VLLM.models.example:8000", "vllm.models.example/v1/models",
        "10.0.0.7", "10.0.0.7:8000", "fd00::1", "ollama:11434", "gpu-3.cluster.internal", "gpu-3.svc/v1",
        "localhost", "/var/lib/models/llama.gguf", "https://openai.com.evil.example/x",
        "https://api.openai.com/v1?key=x"}) {
    EXPECT_EQ(Redacted("No answer from " + std::string(place) + ", try again."),
              "No answer from [hidden], try again.")
        << place;
  }
}

TEST(RedactorTest, KeepsWhatHelps) {
  for (const char* text :
       {"max_tokens: 200000 > 8192, which is the maximum allowed number of output tokens for "
        "claude-sonnet-4-20250514",
        "The model `gpt-4o-mini-2024-07-18` does not exist or you do not have access to it.",
        "messages.0.content: text content blocks must be non-empty",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 140001 "
        "tokens.",
        "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) is "
        "supported.",
        "model 'llama3.1:8b-instruct-q4_K_M' not found, try pulling it first",
        "Zu lang: Größe überschritten …",
        "See https://platform.openai.com/docs/guides/error-codes for details.", ""}) {
    EXPECT_EQ(Redacted(text), text);
  }
}

TEST(RedactorTest, IsOneShortLineOfUtf8) {
  EXPECT_EQ(Redacted("a\r\nb\tc\x7F"), "a  b c ");
  const std::string cut = Redacted("ü" + std::string(100, 'x') + "üüü", 102);
  EXPECT_EQ(cut, "ü" + std::string(100, 'x') + " …");
  EXPECT_EQ(Redacted("abc üü", 5), "abc  …");
  // A key at the end of what is read is not cut to a part that passes.
  std::string long_one((8 << 10) - 6, ' ');
  EXPECT_THAT(Redacted(long_one + kKey, 1 << 20), Not(HasSubstr("sk-")));
}

}  // namespace
}  // namespace pondpilot::proxy::ai
