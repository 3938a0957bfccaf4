#include <algorithm>

#include "proxy/ai/json_access.h"
#include "proxy/ai/problems.h"
#include "proxy/ai/provider.h"

namespace pondpilot::proxy::ai {
namespace {

using nlohmann::json;

// The API wants a limit; this is what a request without one gets.
constexpr int64_t kDefaultMaxTokens = 4096;

std::string StopReason(const std::string& theirs) {
  if (theirs == "end_turn" || theirs == "stop_sequence") return "end_turn";
  if (theirs == "max_tokens" || theirs == "refusal") return theirs;
  return "other";
}

class Decoder final : public ChatDecoder {
 public:
  Outcome<ChatStep> Decode(const SseEvent& event) override {
    const json data = json::parse(event.data, nullptr, false);
    if (!data.is_object()) return std::unexpected(BadAnswer());
    const std::string type = TextAt(data, "/type");
    ChatStep step;
    if (type == "message_start") {
      end_.model = TextAt(data, "/message/model");
      end_.usage.input_tokens = CountAt(data, "/message/usage/input_tokens");
      end_.usage.output_tokens = CountAt(data, "/message/usage/output_tokens");
    } else if (type == "content_block_delta") {
      if (TextAt(data, "/delta/type") == "text_delta") step.text = TextAt(data, "/delta/text");
    } else if (type == "message_delta") {
      end_.stop_reason = StopReason(TextAt(data, "/delta/stop_reason"));
      // Counts are totals so far, not additions.
      end_.usage.output_tokens = std::max(end_.usage.output_tokens, CountAt(data, "/usage/output_tokens"));
    } else if (type == "message_stop") {
      step.ended = true;
    } else if (type == "error") {
      return std::unexpected(BrokenOff(TextAt(data, "/error/type")));
    }
    // Other kinds (ping, block borders, what is still to be invented) change nothing.
    return step;
  }
  const ChatEnd& end() const override { return end_; }

 private:
  ChatEnd end_;
};

class Anthropic final : public ChatProvider {
 public:
  Anthropic(std::string base_url, base::Secret key) : base_url_(std::move(base_url)), key_(std::move(key)) {}

  UpstreamRequest Encode(const ChatRequest& request) const override {
    json body;
    body["model"] = request.model;
    body["max_tokens"] = request.max_tokens.value_or(kDefaultMaxTokens);
    body["stream"] = request.stream;
    if (!request.system.empty()) body["system"] = request.system;
    // Its scale ends at 1.
    if (request.temperature) body["temperature"] = std::min(*request.temperature, 1.0);
    for (const ChatMessage& message : request.messages) {
      body["messages"].push_back({{"role", message.role}, {"content", message.content}});
    }
    return {JoinUrl(base_url_, "/v1/messages"),
            {{"x-api-key", key_.Reveal()}, {"anthropic-version", "2023-06-01"}},
            body.dump()};
  }
  std::unique_ptr<ChatDecoder> NewDecoder() const override { return std::make_unique<Decoder>(); }

  Outcome<ChatReply> DecodeReply(std::string_view body) const override {
    const json data = json::parse(body, nullptr, false);
    if (!data.is_object() || !data.contains("content") || !data["content"].is_array()) {
      return std::unexpected(BadAnswer());
    }
    ChatReply reply;
    for (const json& block : data["content"]) {
      if (TextAt(block, "/type") == "text") reply.text += TextAt(block, "/text");
    }
    reply.end.model = TextAt(data, "/model");
    reply.end.stop_reason = StopReason(TextAt(data, "/stop_reason"));
    reply.end.usage = {CountAt(data, "/usage/input_tokens"), CountAt(data, "/usage/output_tokens")};
    return reply;
  }

 private:
  const std::string base_url_;
  const base::Secret key_;
};

}  // namespace

std::unique_ptr<ChatProvider> MakeAnthropic(std::string base_url, base::Secret key) {
  return std::make_unique<Anthropic>(std::move(base_url), std::move(key));
}

}  // namespace pondpilot::proxy::ai
