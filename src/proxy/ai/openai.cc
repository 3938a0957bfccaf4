#include <boost/url/parse.hpp>

#include "proxy/ai/json_access.h"
#include "proxy/ai/problems.h"
#include "proxy/ai/provider.h"

namespace pondpilot::proxy::ai {
namespace {

using nlohmann::json;

std::string StopReason(const std::string& theirs) {
  if (theirs == "stop") return "end_turn";
  if (theirs == "length") return "max_tokens";
  if (theirs == "content_filter") return "refusal";
  return "other";
}

std::vector<std::pair<std::string, std::string>> KeyHeader(const base::Secret& key) {
  return {{"Authorization", "Bearer " + key.Reveal()}};
}

Usage ReadUsage(const json& data) {
  return {CountAt(data, "/usage/prompt_tokens"), CountAt(data, "/usage/completion_tokens")};
}

class Decoder final : public ChatDecoder {
 public:
  Outcome<ChatStep> Decode(const SseEvent& event) override {
    ChatStep step;
    if (event.data == "[DONE]") {
      step.ended = true;
      return step;
    }
    const json data = json::parse(event.data, nullptr, false);
    if (!data.is_object()) return std::unexpected(BadAnswer());
    if (data.contains("error") && !data["error"].is_null()) {
      return std::unexpected(BrokenOff(TextAt(data, "/error/type")));
    }
    if (const std::string model = TextAt(data, "/model"); !model.empty()) end_.model = model;
    step.text = TextAt(data, "/choices/0/delta/content");
    if (const std::string reason = TextAt(data, "/choices/0/finish_reason"); !reason.empty()) {
      end_.stop_reason = StopReason(reason);
    }
    if (data.contains("usage") && data["usage"].is_object()) end_.usage = ReadUsage(data);
    return step;
  }
  const ChatEnd& end() const override { return end_; }

 private:
  ChatEnd end_;
};

class OpenAi final : public ChatProvider {
 public:
  OpenAi(std::string base_url, base::Secret key) : base_url_(std::move(base_url)), key_(std::move(key)) {
    // OpenAI itself has renamed the field and refuses the old name for its newer models; the servers that
    // speak its API know the old one.
    const auto url = boost::urls::parse_uri(base_url_);
    if (url && url->host() == "api.openai.com") max_tokens_field_ = "max_completion_tokens";
  }

  UpstreamRequest Encode(const ChatRequest& request) const override {
    json body;
    body["model"] = request.model;
    body["stream"] = request.stream;
    if (request.stream) body["stream_options"] = {{"include_usage", true}};
    if (request.max_tokens) body[max_tokens_field_] = *request.max_tokens;
    if (request.temperature) body["temperature"] = *request.temperature;
    if (!request.system.empty()) {
      body["messages"].push_back({{"role", "system"}, {"content", request.system}});
    }
    for (const ChatMessage& message : request.messages) {
      body["messages"].push_back({{"role", message.role}, {"content", message.content}});
    }
    return {JoinUrl(base_url_, "/chat/completions"), KeyHeader(key_), body.dump()};
  }
  std::unique_ptr<ChatDecoder> NewDecoder() const override { return std::make_unique<Decoder>(); }

  Outcome<ChatReply> DecodeReply(std::string_view body) const override {
    const json data = json::parse(body, nullptr, false);
    if (!data.is_object() || !data.contains(json::json_pointer("/choices/0/message"))) {
      return std::unexpected(BadAnswer());
    }
    ChatReply reply;
    reply.text = TextAt(data, "/choices/0/message/content");
    reply.end = {TextAt(data, "/model"), StopReason(TextAt(data, "/choices/0/finish_reason")),
                 ReadUsage(data)};
    return reply;
  }

 private:
  const std::string base_url_;
  const base::Secret key_;
  const char* max_tokens_field_ = "max_tokens";
};

}  // namespace

std::unique_ptr<ChatProvider> MakeOpenAi(std::string base_url, base::Secret key) {
  return std::make_unique<OpenAi>(std::move(base_url), std::move(key));
}

UpstreamRequest EncodeEmbed(const std::string& base_url, const base::Secret& key,
                            const EmbedRequest& request) {
  json body;
  body["model"] = request.model;
  body["input"] = request.inputs;
  body["encoding_format"] = "float";
  return {JoinUrl(base_url, "/embeddings"), KeyHeader(key), body.dump()};
}

Outcome<Embeddings> DecodeEmbed(std::string_view body, size_t count) {
  const json data = json::parse(body, nullptr, false);
  if (!data.is_object() || !data.contains("data") || !data["data"].is_array() ||
      data["data"].size() != count) {
    return std::unexpected(BadAnswer());
  }
  Embeddings out;
  out.model = TextAt(data, "/model");
  out.usage = ReadUsage(data);
  out.vectors.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const json& item = data["data"][i];
    // The index says which input a vector belongs to; servers that send none keep the order.
    size_t index = i;
    if (item.is_object() && item.contains("index")) {
      if (!item["index"].is_number_unsigned()) return std::unexpected(BadAnswer());
      index = item["index"].get<size_t>();
    }
    if (index >= count || !out.vectors[index].empty()) return std::unexpected(BadAnswer());
    if (!item.is_object() || !item.contains("embedding") || !item["embedding"].is_array()) {
      return std::unexpected(BadAnswer());
    }
    for (const json& number : item["embedding"]) {
      if (!number.is_number()) return std::unexpected(BadAnswer());
      out.vectors[index].push_back(number.get<double>());
    }
    if (out.vectors[index].empty()) return std::unexpected(BadAnswer());
  }
  return out;
}

}  // namespace pondpilot::proxy::ai
