#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "proxy/ai/chat.h"

namespace pondpilot::proxy::ai {

// The language in which a client gets its answer. One object for one answer.
class ChatWriter {
 public:
  virtual ~ChatWriter() = default;

  // Server-sent events, ready to be sent.
  virtual std::string Delta(std::string_view text) = 0;
  virtual std::string Done(const ChatEnd& end) = 0;
  virtual std::string Failed(const http::Problem& problem) = 0;

  // The same as one JSON document.
  virtual std::string Whole(const ChatReply& reply) = 0;
};

struct ChatHeading {
  std::string request_id;
  std::string model;  // as it was asked for; for providers that name none
  base::Clock::Wall created_at;
};

std::unique_ptr<ChatWriter> MakeChatWriter(ChatFormat format, ChatHeading heading);

}  // namespace pondpilot::proxy::ai
