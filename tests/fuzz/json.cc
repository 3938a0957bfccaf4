// Bodies that clients and providers send as JSON. The first byte says whose.
#include <string>
#include <string_view>

#include "base/text.h"
#include "check.h"
#include "proxy/ai/catalog_prompt.h"
#include "proxy/ai/chat.h"
#include "proxy/ai/provider.h"
#include "proxy/sql/sql_request.h"

namespace {

using namespace pondpilot::proxy;

template <typename T>
void CheckRefusal(const pondpilot::base::Result<T>& parsed) {
  if (parsed) return;
  FUZZ_CHECK(parsed.error().code == pondpilot::base::ErrorCode::kInvalidArgument);
  FUZZ_CHECK(!parsed.error().message.empty());
}

void Chat(std::string_view body) {
  const auto parsed = ai::ParseChatRequest(body, "default");
  CheckRefusal(parsed);
  if (!parsed) return;
  FUZZ_CHECK(!parsed->messages.empty() && parsed->messages.size() <= ai::kMaxMessages);
  for (const auto& message : parsed->messages) FUZZ_CHECK(pondpilot::base::IsUtf8(message.content));
  // What was accepted can be sent on.
  static const auto claude = ai::MakeAnthropic("http://x", pondpilot::base::Secret("k"));
  static const auto openai = ai::MakeOpenAi("http://x", pondpilot::base::Secret("k"));
  FUZZ_CHECK(!claude->Encode(*parsed).body.empty());
  FUZZ_CHECK(!openai->Encode(*parsed).body.empty());
}

void Embed(std::string_view body) {
  const auto parsed = ai::ParseEmbedRequest(body);
  CheckRefusal(parsed);
  if (parsed) FUZZ_CHECK(!parsed->inputs.empty() && parsed->inputs.size() <= ai::kMaxEmbedInputs);
}

void Sql(std::string_view body) {
  http::Request request;
  request.method = "POST";
  request.path = "/sql";
  request.headers.set("Content-Type", "application/json");
  request.body = body;
  const auto parsed = sql::ParseRunRequest(request);
  if (!parsed) FUZZ_CHECK(parsed.error().status >= 400 && parsed.error().status < 500);
  if (parsed) FUZZ_CHECK(!parsed->SerializeAsString().empty());
}

void Replies(std::string_view body) {
  static const auto claude = ai::MakeAnthropic("http://x", pondpilot::base::Secret("k"));
  static const auto openai = ai::MakeOpenAi("http://x", pondpilot::base::Secret("k"));
  for (const ai::ChatProvider* provider : {claude.get(), openai.get()}) {
    const auto reply = provider->DecodeReply(body);
    if (!reply) FUZZ_CHECK(reply.error().code == "ai_bad_answer" && !reply.error().detail.empty());
    if (reply) FUZZ_CHECK(pondpilot::base::IsUtf8(reply->text) && !reply->end.stop_reason.empty());
    if (reply) FUZZ_CHECK(reply->end.usage.input_tokens >= 0 && reply->end.usage.output_tokens >= 0);
  }
  if (const auto vectors = ai::DecodeEmbed(body, 2)) FUZZ_CHECK(vectors->vectors.size() == 2);
}

void Catalog(std::string_view body) {
  constexpr size_t kBytes = 2000;
  const auto text = ai::CatalogPrompt(body, kBytes);
  // Besides what is bounded there is a line for each database that is away, and the last one.
  if (text) FUZZ_CHECK(text->size() <= kBytes + body.size() * 3 + 200);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'c':
      Chat(body);
      break;
    case 'e':
      Embed(body);
      break;
    case 's':
      Sql(body);
      break;
    case 'r':
      Replies(body);
      break;
    case 'l':
      Catalog(body);
      break;
    default:
      break;
  }
  return 0;
}
