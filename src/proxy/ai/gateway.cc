#include "proxy/ai/gateway.h"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "proxy/ai/call_slots.h"
#include "proxy/ai/catalog_prompt.h"
#include "proxy/ai/chat_format.h"
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

// About how long vectors are as JSON.
size_t TextBytes(const Embeddings& embeddings) {
  constexpr size_t kNumberBytes = 20;
  size_t numbers = 0;
  for (const auto& vector : embeddings.vectors) numbers += vector.size();
  return numbers * kNumberBytes;
}

ordered_json ToJson(const Usage& usage) {
  return {{"input_tokens", usage.input_tokens}, {"output_tokens", usage.output_tokens}};
}

// Tells once how a call has ended; that its client has gone, when nothing else is told before it is
// destroyed.
class CallEnd {
 public:
  CallEnd(CallRecord record, const base::Clock& clock) : record_(std::move(record)), clock_(clock) {}
  ~CallEnd() { Tell("client_gone", {}); }
  CallEnd(const CallEnd&) = delete;
  CallEnd& operator=(const CallEnd&) = delete;

  const CallRecord& record() const { return record_; }
  void Tell(std::string_view result, const Usage& usage) {
    if (!std::exchange(told_, true)) LogCall(record_, result, usage, clock_);
  }
  // Somebody else will tell.
  void Leave() { told_ = true; }

 private:
  const CallRecord record_;
  const base::Clock& clock_;
  bool told_ = false;
};

class Gateway {
 public:
  explicit Gateway(GatewayServices services)
      : services_(std::move(services)),
        client_(services_.waits, *services_.clock),
        claude_(MakeAnthropic(services_.settings.claude_base_url, services_.settings.claude_api_key)),
        openai_(MakeOpenAi(services_.settings.openai_base_url, services_.settings.openai_api_key)),
        redactor_({services_.settings.claude_api_key, services_.settings.openai_api_key},
                  {services_.settings.claude_base_url, services_.settings.openai_base_url}) {}

  awaitable<http::Response> Chat(const http::Request& request, const auth::Principal& principal);
  awaitable<http::Response> Embed(const http::Request& request, const auth::Principal& principal);

 private:
  Outcome<CallSlots::Slot> TakeSlot(const std::string& user);
  // The provider's answer when its status is 200, else a problem. A call that failed for a reason that may
  // pass is tried once more.
  awaitable<Outcome<std::unique_ptr<UpstreamReply>>> Call(const CallRecord& call, UpstreamRequest request);
  struct Failure {
    http::Problem problem;
    // When another call is worth trying: after so long.
    std::optional<std::chrono::milliseconds> retry_in;
  };
  awaitable<std::expected<std::unique_ptr<UpstreamReply>, Failure>> CallOnce(const CallRecord& call,
                                                                             UpstreamRequest request);
  std::optional<std::chrono::milliseconds> RetryAfter(const UpstreamReply& refusal) const;
  // Puts the caller's catalog before the model.
  awaitable<Outcome<void>> AddCatalog(const http::Request& request, const auth::Principal& principal,
                                      ChatRequest& chat) const;
  // In as many calls as the provider's limit on texts in one asks for, one after the other.
  awaitable<Outcome<Embeddings>> EmbedAll(const CallRecord& call, const EmbedRequest& embed);
  // An answer's whole body.
  awaitable<Outcome<std::string>> Body(const CallRecord& call, UpstreamReply& reply) const;
  CallRecord Record(const http::Request& request, const auth::Principal& principal, bool claude,
                    const std::string& model) const;
  static http::Response Fail(CallEnd& end, const http::Problem& problem);

  const GatewayServices services_;
  UpstreamClient client_;
  const std::unique_ptr<ChatProvider> claude_;
  const std::unique_ptr<ChatProvider> openai_;
  const Redactor redactor_;
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

http::Response Gateway::Fail(CallEnd& end, const http::Problem& problem) {
  end.Tell(problem.status == http::kClientGone ? "client_gone" : problem.code, {});
  return http::ToResponse(problem, end.record().request_id);
}

std::optional<std::chrono::milliseconds> Gateway::RetryAfter(const UpstreamReply& refusal) const {
  const unsigned status = refusal.status();
  if (status != 429 && status < 500) return std::nullopt;
  const std::string asked = refusal.Header("Retry-After");
  const auto pause =
      std::max(ParseRetryAfter(asked).value_or(services_.waits.retry_pause), services_.waits.retry_pause);
  return pause <= services_.waits.retry_most ? std::optional(pause) : std::nullopt;
}

awaitable<Outcome<std::unique_ptr<UpstreamReply>>> Gateway::Call(const CallRecord& call,
                                                                 UpstreamRequest request) {
  const auto deadline = request.deadline.value_or(services_.clock->Now() + services_.waits.total);
  request.deadline = deadline;
  auto first = co_await CallOnce(call, request);
  if (first) co_return std::move(*first);
  const auto pause = first.error().retry_in;
  if (!pause || services_.clock->Now() + *pause >= deadline) co_return std::unexpected(first.error().problem);
  telemetry::Log(Level::kInfo, "AI provider is asked again",
                 {{"provider", call.provider},
                  {"code", first.error().problem.code},
                  {"pause_ms", pause->count()},
                  {"request_id", call.request_id}});
  if (call.observer != nullptr) call.observer->Retried(call.provider);
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, *pause);
  boost::system::error_code error;
  co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
  if (error) {
    co_return std::unexpected(
        http::ToProblem({base::ErrorCode::kCancelled, "The request was cancelled.", {}, {}}));
  }
  auto second = co_await CallOnce(call, std::move(request));
  if (second) co_return std::move(*second);
  co_return std::unexpected(second.error().problem);
}

awaitable<std::expected<std::unique_ptr<UpstreamReply>, Gateway::Failure>> Gateway::CallOnce(
    const CallRecord& call, UpstreamRequest request) {
  auto reply = co_await client_.Post(std::move(request));
  if (!reply) {
    telemetry::Log(
        Level::kWarn, "AI provider not reached",
        {{"provider", call.provider}, {"request_id", call.request_id}, {"error", reply.error().detail}});
    Failure failure{TransportProblem(reply.error()), std::nullopt};
    // Nothing of an answer has come. Who was silent for too long is not waited for once more.
    if (reply.error().code == base::ErrorCode::kUnavailable) failure.retry_in = services_.waits.retry_pause;
    co_return std::unexpected(std::move(failure));
  }
  const unsigned status = (*reply)->status();
  if (status == 200) co_return std::move(*reply);
  // A refusal whose text is cut off or too long is still a refusal.
  const auto body = co_await ReadAll(**reply, kMaxRefusalBytes);
  const http::Problem problem = ProviderRefusal(status, (*reply)->Header("Retry-After"),
                                                body ? std::string_view(*body) : "", redactor_);
  const bool key_refused = problem.code == "ai_credentials_refused";
  telemetry::Log(key_refused ? Level::kError : Level::kWarn,
                 key_refused ? "AI provider does not accept the key: check CLAUDE_API_KEY or OPENAI_API_KEY"
                             : "AI provider refused",
                 {{"provider", call.provider},
                  {"status", status},
                  {"model", call.model},
                  {"request_id", call.request_id}});
  co_return std::unexpected(Failure{problem, RetryAfter(**reply)});
}

awaitable<Outcome<void>> Gateway::AddCatalog(const http::Request& request, const auth::Principal& principal,
                                             ChatRequest& chat) const {
  const auto catalog = co_await services_.catalog(request, principal);
  if (!catalog) co_return std::unexpected(catalog.error());
  const size_t most = principal.demo ? kDemoCatalogBytes : kCatalogBytes;
  const auto read = co_await services_.offload->Run(
      catalog->size(), [&catalog, most] { return CatalogPrompt(*catalog, most); });
  if (!read) co_return std::unexpected(http::ToProblem(read.error()));
  const auto& text = *read;
  if (!text) co_return std::unexpected(BadCatalog());
  chat.system += (chat.system.empty() ? "" : "\n\n") + *text;
  co_return Outcome<void>();
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
  auto read = co_await services_.offload->Run(
      request.body.size(), [&] { return ParseChatRequest(request.body, services_.settings.default_model); });
  if (!read) co_return http::ToResponse(http::ToProblem(read.error()), request.request_id);
  auto& chat = *read;
  if (!chat) co_return http::ToResponse(http::ToProblem(chat.error()), request.request_id);
  if (principal.demo) chat->max_tokens = std::min(chat->max_tokens.value_or(kDemoMaxTokens), kDemoMaxTokens);

  const bool claude = chat->model.starts_with("claude");
  CallEnd end(Record(request, principal, claude, chat->model), *services_.clock);
  const CallRecord& call = end.record();
  if (claude && services_.settings.claude_api_key.empty()) {
    co_return Fail(end, NotConfigured("Claude models", "CLAUDE_API_KEY", "ai.claude_api_key"));
  }
  if (!claude && services_.settings.openai_api_key.empty()) {
    co_return Fail(end, NotConfigured("models other than Claude", "OPENAI_API_KEY", "ai.openai_api_key"));
  }
  auto slot = TakeSlot(principal.user_id);
  if (!slot) co_return Fail(end, slot.error());
  if (chat->schema) {
    const auto added = co_await AddCatalog(request, principal, *chat);
    if (!added) co_return Fail(end, added.error());
  }
  const ChatProvider& provider = claude ? *claude_ : *openai_;
  auto reply = co_await Call(call, provider.Encode(*chat));
  if (!reply) co_return Fail(end, reply.error());

  auto format = MakeChatWriter(chat->format, {request.request_id, chat->model, services_.clock->WallNow()});
  if (chat->stream) {
    http::Response response;
    response.content_type = "text/event-stream";
    response.headers.emplace_back("X-Accel-Buffering", "no");  // for an nginx in front
    end.Leave();
    response.stream = [stream = std::make_shared<ChatStream>(call, std::move(*reply), provider.NewDecoder(),
                                                             std::move(format), std::move(*slot),
                                                             *services_.clock)](http::BodyWriter& writer) {
      return stream->Run(writer);
    };
    co_return response;
  }
  const auto body = co_await Body(call, **reply);
  if (!body) co_return Fail(end, body.error());
  const auto decoded =
      co_await services_.offload->Run(body->size(), [&] { return provider.DecodeReply(*body); });
  if (!decoded) co_return Fail(end, http::ToProblem(decoded.error()));
  const auto& answer = *decoded;
  if (!answer) co_return Fail(end, answer.error());
  end.Tell("ok", answer->end.usage);
  http::Response response;
  response.body = format->Whole(*answer);
  co_return response;
}

awaitable<http::Response> Gateway::Embed(const http::Request& request, const auth::Principal& principal) {
  if (const auto refused = http::RefuseOtherThanJson(request))
    co_return http::ToResponse(*refused, request.request_id);
  const auto read = co_await services_.offload->Run(request.body.size(),
                                                    [&request] { return ParseEmbedRequest(request.body); });
  if (!read) co_return http::ToResponse(http::ToProblem(read.error()), request.request_id);
  const auto& embed = *read;
  if (!embed) co_return http::ToResponse(http::ToProblem(embed.error()), request.request_id);
  CallEnd end(Record(request, principal, false, embed->model), *services_.clock);
  const CallRecord& call = end.record();
  const auto& settings = services_.settings;
  if (settings.openai_api_key.empty()) {
    co_return Fail(end, NotConfigured("embeddings", "OPENAI_API_KEY", "ai.openai_api_key"));
  }
  const auto slot = TakeSlot(principal.user_id);
  if (!slot) co_return Fail(end, slot.error());
  const auto embeddings = co_await EmbedAll(call, *embed);
  if (!embeddings) co_return Fail(end, embeddings.error());
  end.Tell("ok", embeddings->usage);
  auto written = co_await services_.offload->Run(TextBytes(*embeddings), [&] {
    ordered_json out;
    out["model"] = embeddings->model.empty() ? embed->model : embeddings->model;
    out["embeddings"] = embeddings->vectors;
    out["usage"] = ToJson(embeddings->usage);
    return Json(out);
  });
  if (!written) co_return http::ToResponse(http::ToProblem(written.error()), request.request_id);
  co_return std::move(*written);
}

awaitable<Outcome<Embeddings>> Gateway::EmbedAll(const CallRecord& call, const EmbedRequest& embed) {
  const auto& settings = services_.settings;
  const auto deadline = services_.clock->Now() + services_.waits.total;
  Embeddings all;
  for (size_t begin = 0; begin < embed.inputs.size(); begin += settings.embed_batch_size) {
    const size_t end = std::min<size_t>(begin + settings.embed_batch_size, embed.inputs.size());
    EmbedRequest batch{embed.model, {}};
    batch.inputs.assign(embed.inputs.begin() + static_cast<std::ptrdiff_t>(begin),
                        embed.inputs.begin() + static_cast<std::ptrdiff_t>(end));
    UpstreamRequest request = EncodeEmbed(settings.openai_base_url, settings.openai_api_key, batch);
    request.deadline = deadline;
    auto reply = co_await Call(call, std::move(request));
    if (!reply) co_return std::unexpected(reply.error());
    const auto body = co_await Body(call, **reply);
    if (!body) co_return std::unexpected(body.error());
    auto decoded = co_await services_.offload->Run(body->size(),
                                                   [&] { return DecodeEmbed(*body, batch.inputs.size()); });
    if (!decoded) co_return std::unexpected(http::ToProblem(decoded.error()));
    auto& some = *decoded;
    if (!some) co_return std::unexpected(some.error());
    all.model = some->model;
    std::ranges::move(some->vectors, std::back_inserter(all.vectors));
    all.usage.input_tokens += some->usage.input_tokens;
    all.usage.output_tokens += some->usage.output_tokens;
  }
  co_return all;
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
