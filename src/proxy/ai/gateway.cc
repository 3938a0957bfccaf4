#include "proxy/ai/gateway.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "proxy/ai/call_slots.h"
#include "proxy/ai/chat_stream.h"
#include "proxy/ai/problems.h"
#include "proxy/ai/provider.h"
#include "proxy/http/json_body.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::ai {
namespace {

using boost::asio::awaitable;
using nlohmann::ordered_json;
using telemetry::Level;

constexpr size_t kMaxReplyBytes = 32 << 20;
constexpr size_t kMaxRefusalBytes = 64 << 10;

http::Response Json(const ordered_json& body) {
  http::Response response;
  response.body = body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  return response;
}

ordered_json ToJson(const Usage& usage) {
  return {{"input_tokens", usage.input_tokens}, {"output_tokens", usage.output_tokens}};
}

class Gateway {
 public:
  explicit Gateway(GatewayServices services)
      : services_(std::move(services)),
        client_(services_.waits, *services_.clock),
        claude_(MakeAnthropic(services_.settings.claude_base_url, services_.settings.claude_api_key)),
        openai_(MakeOpenAi(services_.settings.openai_base_url, services_.settings.openai_api_key)) {}

  awaitable<http::Response> Chat(const http::Request& request, const auth::Principal& principal);
  awaitable<http::Response> Embed(const http::Request& request, const auth::Principal& principal);

 private:
  Outcome<CallSlots::Slot> TakeSlot(const std::string& user);
  // The provider's answer when its status is 200, else a problem.
  awaitable<Outcome<std::unique_ptr<UpstreamReply>>> Call(const CallRecord& call, UpstreamRequest request);
  // An answer's whole body.
  awaitable<Outcome<std::string>> Body(const CallRecord& call, UpstreamReply& reply) const;
  CallRecord Record(const http::Request& request, const auth::Principal& principal, bool claude,
                    const std::string& model) const;
  http::Response Fail(const CallRecord& call, const http::Problem& problem) const;

  const GatewayServices services_;
  UpstreamClient client_;
  const std::unique_ptr<ChatProvider> claude_;
  const std::unique_ptr<ChatProvider> openai_;
  CallSlots slots_;
};

Outcome<CallSlots::Slot> Gateway::TakeSlot(const std::string& user) {
  const bool full = slots_.full();
  auto slot = slots_.Take(user);
  if (!slot) return std::unexpected(TooManyCalls(!full));
  return slot;
}

CallRecord Gateway::Record(const http::Request& request, const auth::Principal& principal, bool claude,
                           const std::string& model) const {
  return {principal.user_id,  claude ? "claude" : "openai", model,
          request.request_id, services_.clock->Now(),       services_.observer};
}

http::Response Gateway::Fail(const CallRecord& call, const http::Problem& problem) const {
  LogCall(call, problem.code, {}, *services_.clock);
  return http::ToResponse(problem, call.request_id);
}

awaitable<Outcome<std::unique_ptr<UpstreamReply>>> Gateway::Call(const CallRecord& call,
                                                                 UpstreamRequest request) {
  auto reply = co_await client_.Post(std::move(request));
  if (!reply) {
    telemetry::Log(
        Level::kWarn, "AI provider not reached",
        {{"provider", call.provider}, {"request_id", call.request_id}, {"error", reply.error().detail}});
    co_return std::unexpected(TransportProblem(reply.error()));
  }
  const unsigned status = (*reply)->status();
  if (status == 200) co_return std::move(*reply);
  // A refusal whose text is cut off or too long is still a refusal.
  const auto body = co_await ReadAll(**reply, kMaxRefusalBytes);
  const http::Problem problem =
      ProviderRefusal(status, (*reply)->Header("Retry-After"), body ? std::string_view(*body) : "");
  const bool key_refused = problem.code == "ai_credentials_refused";
  telemetry::Log(key_refused ? Level::kError : Level::kWarn,
                 key_refused ? "AI provider does not accept the key: check CLAUDE_API_KEY or OPENAI_API_KEY"
                             : "AI provider refused",
                 {{"provider", call.provider},
                  {"status", status},
                  {"model", call.model},
                  {"request_id", call.request_id}});
  co_return std::unexpected(problem);
}

awaitable<Outcome<std::string>> Gateway::Body(const CallRecord& call, UpstreamReply& reply) const {
  auto body = co_await ReadAll(reply, kMaxReplyBytes);
  if (body) co_return std::move(*body);
  telemetry::Log(
      Level::kWarn, "AI provider broke off",
      {{"provider", call.provider}, {"request_id", call.request_id}, {"error", body.error().detail}});
  co_return std::unexpected(TransportProblem(body.error()));
}

awaitable<http::Response> Gateway::Chat(const http::Request& request, const auth::Principal& principal) {
  if (const auto refused = http::RefuseOtherThanJson(request))
    co_return http::ToResponse(*refused, request.request_id);
  auto chat = ParseChatRequest(request.body, services_.settings.default_model);
  if (!chat) co_return http::ToResponse(http::ToProblem(chat.error()), request.request_id);
  if (principal.demo) chat->max_tokens = std::min(chat->max_tokens.value_or(kDemoMaxTokens), kDemoMaxTokens);

  const bool claude = chat->model.starts_with("claude");
  const CallRecord call = Record(request, principal, claude, chat->model);
  if (claude && services_.settings.claude_api_key.empty()) {
    co_return Fail(call, NotConfigured("Claude models", "CLAUDE_API_KEY", "ai.claude_api_key"));
  }
  if (!claude && services_.settings.openai_api_key.empty()) {
    co_return Fail(call, NotConfigured("models other than Claude", "OPENAI_API_KEY", "ai.openai_api_key"));
  }
  auto slot = TakeSlot(principal.user_id);
  if (!slot) co_return Fail(call, slot.error());
  const ChatProvider& provider = claude ? *claude_ : *openai_;
  auto reply = co_await Call(call, provider.Encode(*chat));
  if (!reply) co_return Fail(call, reply.error());

  if (chat->stream) {
    http::Response response;
    response.content_type = "text/event-stream";
    response.headers.emplace_back("X-Accel-Buffering", "no");  // for an nginx in front
    response.stream = [stream = std::make_shared<ChatStream>(call, std::move(*reply), provider.NewDecoder(),
                                                             std::move(*slot), *services_.clock)](
                          http::BodyWriter& writer) { return stream->Run(writer); };
    co_return response;
  }
  const auto body = co_await Body(call, **reply);
  if (!body) co_return Fail(call, body.error());
  const auto answer = provider.DecodeReply(*body);
  if (!answer) co_return Fail(call, answer.error());
  LogCall(call, "ok", answer->end.usage, *services_.clock);
  ordered_json out;
  out["model"] = answer->end.model.empty() ? chat->model : answer->end.model;
  out["text"] = answer->text;
  out["stop_reason"] = answer->end.stop_reason;
  out["usage"] = ToJson(answer->end.usage);
  co_return Json(out);
}

awaitable<http::Response> Gateway::Embed(const http::Request& request, const auth::Principal& principal) {
  if (const auto refused = http::RefuseOtherThanJson(request))
    co_return http::ToResponse(*refused, request.request_id);
  const auto embed = ParseEmbedRequest(request.body);
  if (!embed) co_return http::ToResponse(http::ToProblem(embed.error()), request.request_id);
  const CallRecord call = Record(request, principal, false, embed->model);
  const auto& settings = services_.settings;
  if (settings.openai_api_key.empty()) {
    co_return Fail(call, NotConfigured("embeddings", "OPENAI_API_KEY", "ai.openai_api_key"));
  }
  const auto slot = TakeSlot(principal.user_id);
  if (!slot) co_return Fail(call, slot.error());
  auto reply = co_await Call(call, EncodeEmbed(settings.openai_base_url, settings.openai_api_key, *embed));
  if (!reply) co_return Fail(call, reply.error());
  const auto body = co_await Body(call, **reply);
  if (!body) co_return Fail(call, body.error());
  const auto embeddings = DecodeEmbed(*body, embed->inputs.size());
  if (!embeddings) co_return Fail(call, embeddings.error());
  LogCall(call, "ok", embeddings->usage, *services_.clock);
  ordered_json out;
  out["model"] = embeddings->model.empty() ? embed->model : embeddings->model;
  out["embeddings"] = embeddings->vectors;
  out["usage"] = ToJson(embeddings->usage);
  co_return Json(out);
}

}  // namespace

std::vector<http::Route> AiRoutes(GatewayServices services) {
  const access::Gate& gate = *services.gate;
  const auto gateway = std::make_shared<Gateway>(std::move(services));
  return {gate.Route("POST", "/ai/chat",
                     [gateway](const auto& request, const auto& who) { return gateway->Chat(request, who); }),
          gate.Route("POST", "/ai/embed", [gateway](const auto& request, const auto& who) {
            return gateway->Embed(request, who);
          })};
}

}  // namespace pondpilot::proxy::ai
