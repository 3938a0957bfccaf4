#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "proxy/http/problem.h"

namespace pondpilot::proxy::ai {

// What this module's own steps return: its failures have codes of their own (docs/http-api.md).
template <typename T>
using Outcome = std::expected<T, http::Problem>;

struct ChatMessage {
  std::string role;  // "user", "assistant"
  std::string content;
};

// How the answer is written: as this proxy's own events and document, or as OpenAI's chat completions.
enum class ChatFormat { kEvents, kOpenAi };

// A checked body of POST /ai/chat.
struct ChatRequest {
  std::string model;
  std::string system;  // empty: none
  std::vector<ChatMessage> messages;
  bool stream = true;
  bool schema = false;  // puts the caller's catalog before the model
  ChatFormat format = ChatFormat::kEvents;
  std::optional<int64_t> max_tokens;
  std::optional<double> temperature;
};

// A checked body of POST /ai/embed.
struct EmbedRequest {
  std::string model;
  std::vector<std::string> inputs;
};

struct Usage {
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
};

// How an answer ended.
struct ChatEnd {
  std::string model;                  // as the provider names it
  std::string stop_reason = "other";  // "end_turn", "max_tokens", "refusal", "other"
  Usage usage;
};

struct ChatReply {
  std::string text;
  ChatEnd end;
};

// One vector per input, in the order of the inputs.
struct Embeddings {
  std::string model;
  std::vector<std::vector<double>> vectors;
  Usage usage;
};

inline constexpr size_t kMaxMessages = 1000;
inline constexpr size_t kMaxModelBytes = 128;
inline constexpr int64_t kMaxTokens = 1'000'000;
inline constexpr size_t kMaxEmbedInputs = 256;

// kInvalidArgument with a message that names the field. `default_model` is for requests that name none.
base::Result<ChatRequest> ParseChatRequest(std::string_view body, const std::string& default_model);
base::Result<EmbedRequest> ParseEmbedRequest(std::string_view body);

}  // namespace pondpilot::proxy::ai
