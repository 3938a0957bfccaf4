#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "proxy/ai/call_slots.h"
#include "proxy/ai/chat_format.h"
#include "proxy/ai/provider.h"
#include "proxy/ai/upstream.h"
#include "proxy/http/message.h"

namespace pondpilot::proxy::ai {

// Is told of each call to a provider that has ended. On the thread of the routes.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  // `result` as in the log: "ok", "client_gone" or a problem's code.
  virtual void Ended(std::string_view provider, std::string_view result, const Usage& usage) = 0;
  // A call that failed before its answer began is tried once more.
  virtual void Retried(std::string_view provider) = 0;
};

// What the log says about one call.
struct CallRecord {
  std::string user_id;
  std::string provider;  // "claude", "openai"
  std::string model;
  std::string request_id;
  base::Clock::Steady started_at;
  CallObserver* observer = nullptr;
};

// One line for a call that has ended; `result` is "ok" or a problem's code.
void LogCall(const CallRecord& call, std::string_view result, const Usage& usage, const base::Clock& clock);

// Passes a provider's stream on in the client's format, piece by piece as it comes. The provider is read no
// faster than the client reads. Destroying it ends the provider's connection.
class ChatStream {
 public:
  // `clock` must outlive the stream.
  ChatStream(CallRecord call, std::unique_ptr<UpstreamReply> reply, std::unique_ptr<ChatDecoder> decoder,
             std::unique_ptr<ChatWriter> format, CallSlots::Slot slot, const base::Clock& clock);
  ~ChatStream();
  ChatStream(const ChatStream&) = delete;
  ChatStream& operator=(const ChatStream&) = delete;

  boost::asio::awaitable<void> Run(http::BodyWriter& writer);

 private:
  // Reads the next piece and returns what goes to the client; sets result_ when it is the last.
  boost::asio::awaitable<Outcome<std::string>> Next();

  const CallRecord call_;
  const std::unique_ptr<UpstreamReply> reply_;
  const std::unique_ptr<ChatDecoder> decoder_;
  const std::unique_ptr<ChatWriter> format_;
  const CallSlots::Slot slot_;
  const base::Clock& clock_;
  SseParser parser_;
  bool ended_ = false;
  std::string result_ = "client_gone";
};

}  // namespace pondpilot::proxy::ai
