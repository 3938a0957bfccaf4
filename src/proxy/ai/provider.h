#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "proxy/ai/chat.h"
#include "proxy/ai/sse.h"
#include "proxy/ai/upstream.h"

namespace pondpilot::proxy::ai {

// What one event of a provider's stream means.
struct ChatStep {
  std::string text;    // to be passed on; may be empty
  bool ended = false;  // the answer is whole
};

// Reads one streamed answer.
class ChatDecoder {
 public:
  virtual ~ChatDecoder() = default;
  // A problem when the provider reports an error in the middle of its answer, or sends what it never should.
  virtual Outcome<ChatStep> Decode(const SseEvent& event) = 0;
  // Complete once a step has ended.
  virtual const ChatEnd& end() const = 0;
};

// The language of one provider's API. Does no I/O. Immutable, shared by threads.
class ChatProvider {
 public:
  virtual ~ChatProvider() = default;

  virtual UpstreamRequest Encode(const ChatRequest& request) const = 0;
  virtual std::unique_ptr<ChatDecoder> NewDecoder() const = 0;
  virtual Outcome<ChatReply> DecodeReply(std::string_view body) const = 0;
};

// Anthropic's Messages API, version 2023-06-01.
std::unique_ptr<ChatProvider> MakeAnthropic(std::string base_url, base::Secret key);

// OpenAI's chat completions, or any server that speaks them.
std::unique_ptr<ChatProvider> MakeOpenAi(std::string base_url, base::Secret key);

// OpenAI's embeddings. The reply must hold `count` vectors.
UpstreamRequest EncodeEmbed(const std::string& base_url, const base::Secret& key,
                            const EmbedRequest& request);
Outcome<Embeddings> DecodeEmbed(std::string_view body, size_t count);

}  // namespace pondpilot::proxy::ai
