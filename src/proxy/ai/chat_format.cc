#include "proxy/ai/chat_format.h"

#include <nlohmann/json.hpp>

#include "proxy/ai/sse.h"

namespace pondpilot::proxy::ai {
namespace {

using nlohmann::ordered_json;

std::string Text(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// Events "delta", then "done" or "error"; the same for every provider (docs/http-api.md).
class Events final : public ChatWriter {
 public:
  explicit Events(ChatHeading heading) : heading_(std::move(heading)) {}

  std::string Delta(std::string_view text) override { return FormatSse("delta", Text({{"text", text}})); }
  std::string Done(const ChatEnd& end) override {
    ordered_json done;
    done["model"] = ModelOf(end);
    AddEnd(end, done);
    return FormatSse("done", Text(done));
  }
  std::string Failed(const http::Problem& problem) override {
    return FormatSse("error", http::ToResponse(problem, heading_.request_id).body);
  }
  std::string Whole(const ChatReply& reply) override {
    ordered_json out;
    out["model"] = ModelOf(reply.end);
    out["text"] = reply.text;
    AddEnd(reply.end, out);
    return Text(out);
  }

 private:
  const std::string& ModelOf(const ChatEnd& end) const {
    return end.model.empty() ? heading_.model : end.model;
  }
  static void AddEnd(const ChatEnd& end, ordered_json& out) {
    out["stop_reason"] = end.stop_reason;
    out["usage"] = {{"input_tokens", end.usage.input_tokens}, {"output_tokens", end.usage.output_tokens}};
  }

  const ChatHeading heading_;
};

// https://platform.openai.com/docs/api-reference/chat: chunks without names, the usage in one of its own
// without choices, then the word [DONE].
class OpenAi final : public ChatWriter {
 public:
  explicit OpenAi(ChatHeading heading) : heading_(std::move(heading)) {}

  std::string Delta(std::string_view text) override {
    return Begin() + Chunk(Choice({{"content", text}}, nullptr));
  }
  std::string Done(const ChatEnd& end) override {
    if (!end.model.empty()) heading_.model = end.model;
    ordered_json usage = Document("chat.completion.chunk");
    usage["choices"] = ordered_json::array();
    usage["usage"] = UsageOf(end);
    return Begin() + Chunk(Choice(ordered_json::object(), FinishReason(end))) + Event(usage) +
           "data: [DONE]\n\n";
  }
  std::string Failed(const http::Problem& problem) override {
    return Event({{"error", {{"message", problem.detail}, {"type", problem.title}, {"code", problem.code}}}});
  }
  std::string Whole(const ChatReply& reply) override {
    if (!reply.end.model.empty()) heading_.model = reply.end.model;
    ordered_json out = Document("chat.completion");
    out["choices"] = {{{"index", 0},
                       {"message", {{"role", "assistant"}, {"content", reply.text}}},
                       {"finish_reason", FinishReason(reply.end)}}};
    out["usage"] = UsageOf(reply.end);
    return Text(out);
  }

 private:
  static std::string FinishReason(const ChatEnd& end) {
    if (end.stop_reason == "max_tokens") return "length";
    return end.stop_reason == "refusal" ? "content_filter" : "stop";
  }
  static ordered_json UsageOf(const ChatEnd& end) {
    return {{"prompt_tokens", end.usage.input_tokens},
            {"completion_tokens", end.usage.output_tokens},
            {"total_tokens", end.usage.input_tokens + end.usage.output_tokens}};
  }
  static std::string Event(const ordered_json& data) { return "data: " + Text(data) + "\n\n"; }
  static ordered_json Choice(ordered_json delta, ordered_json finish_reason) {
    ordered_json choice;
    choice["index"] = 0;
    choice["delta"] = std::move(delta);
    choice["finish_reason"] = std::move(finish_reason);
    return choice;
  }

  ordered_json Document(const char* object) const {
    ordered_json out;
    out["id"] = "chatcmpl-" + heading_.request_id;
    out["object"] = object;
    out["created"] =
        std::chrono::duration_cast<std::chrono::seconds>(heading_.created_at.time_since_epoch()).count();
    out["model"] = heading_.model;
    return out;
  }
  std::string Chunk(ordered_json choice) const {
    ordered_json out = Document("chat.completion.chunk");
    out["choices"] = ordered_json::array({std::move(choice)});
    return Event(out);
  }
  // The first chunk says who speaks.
  std::string Begin() {
    if (std::exchange(begun_, true)) return {};
    return Chunk(Choice({{"role", "assistant"}, {"content", ""}}, nullptr));
  }

  ChatHeading heading_;
  bool begun_ = false;
};

}  // namespace

std::unique_ptr<ChatWriter> MakeChatWriter(ChatFormat format, ChatHeading heading) {
  if (format == ChatFormat::kOpenAi) return std::make_unique<OpenAi>(std::move(heading));
  return std::make_unique<Events>(std::move(heading));
}

}  // namespace pondpilot::proxy::ai
