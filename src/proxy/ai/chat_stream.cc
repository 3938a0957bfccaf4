#include "proxy/ai/chat_stream.h"

#include "proxy/ai/problems.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::ai {

void LogCall(const CallRecord& call, std::string_view result, const Usage& usage, const base::Clock& clock) {
  if (call.observer != nullptr) call.observer->Ended(call.provider, result, usage);
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(clock.Now() - call.started_at).count();
  telemetry::Log(telemetry::Level::kInfo, "AI call",
                 {{"user_id", call.user_id},
                  {"provider", call.provider},
                  {"model", call.model},
                  {"result", result},
                  {"input_tokens", usage.input_tokens},
                  {"output_tokens", usage.output_tokens},
                  {"ms", ms},
                  {"request_id", call.request_id}});
}

ChatStream::ChatStream(CallRecord call, std::unique_ptr<UpstreamReply> reply,
                       std::unique_ptr<ChatDecoder> decoder, std::unique_ptr<ChatWriter> format,
                       CallSlots::Slot slot, const base::Clock& clock)
    : call_(std::move(call)),
      reply_(std::move(reply)),
      decoder_(std::move(decoder)),
      format_(std::move(format)),
      slot_(std::move(slot)),
      clock_(clock) {}

ChatStream::~ChatStream() { LogCall(call_, result_, decoder_->end().usage, clock_); }

boost::asio::awaitable<void> ChatStream::Run(http::BodyWriter& writer) {
  while (!ended_) {
    Outcome<std::string> out = co_await Next();
    std::string text;
    if (out) {
      // Without a text there is still a sign of life, so that nothing on the way thinks the connection idle.
      text = out->empty() ? ": thinking\n\n" : std::move(*out);
    } else {
      ended_ = true;
      if (out.error().status == http::kClientGone) co_return;
      result_ = out.error().code;
      text = format_->Failed(out.error());
    }
    if (!co_await writer.Write(std::move(text))) co_return;
  }
}

boost::asio::awaitable<Outcome<std::string>> ChatStream::Next() {
  const base::Result<std::string> piece = co_await reply_->Read();
  if (!piece) {
    if (piece.error().code == base::ErrorCode::kCancelled)
      co_return std::unexpected(http::ToProblem(piece.error()));
    telemetry::Log(
        telemetry::Level::kWarn, "AI provider broke off",
        {{"provider", call_.provider}, {"request_id", call_.request_id}, {"error", piece.error().detail}});
    co_return std::unexpected(TransportProblem(piece.error()));
  }
  if (piece->empty()) co_return std::unexpected(BrokenOff(""));
  const auto events = parser_.Feed(*piece);
  if (!events) co_return std::unexpected(TransportProblem(events.error()));
  std::string out;
  for (const SseEvent& event : *events) {
    const Outcome<ChatStep> step = decoder_->Decode(event);
    if (!step) {
      // What came in the same piece goes out before the failure.
      out += format_->Failed(step.error());
      result_ = step.error().code;
      ended_ = true;
      break;
    }
    if (!step->text.empty()) out += format_->Delta(step->text);
    if (step->ended) {
      out += format_->Done(decoder_->end());
      result_ = "ok";
      ended_ = true;
      break;
    }
  }
  co_return out;
}

}  // namespace pondpilot::proxy::ai
