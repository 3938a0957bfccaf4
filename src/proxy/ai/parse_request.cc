#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "proxy/ai/chat.h"
#include "proxy/http/json_body.h"

namespace pondpilot::proxy::ai {
namespace {

using nlohmann::json;

std::unexpected<base::Error> Invalid(std::string message) {
  return base::Fail(base::ErrorCode::kInvalidArgument, std::move(message));
}

// A name for the provider and the log: one word of printable ASCII.
bool IsModelName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxModelBytes &&
         std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7F && c != '"' && c != '\\'; });
}

base::Result<std::string> ParseModel(const json& object, const std::string& fallback) {
  const auto model = object.find("model");
  if (model == object.end() || model->is_null()) {
    if (fallback.empty())
      return Invalid("\"model\" is missing; name one, for example \"text-embedding-3-small\".");
    return fallback;
  }
  if (!model->is_string() || !IsModelName(model->get_ref<const std::string&>())) {
    return Invalid("\"model\" must be the name of a model: 1 to " + std::to_string(kMaxModelBytes) +
                   " printable characters without blanks.");
  }
  return model->get<std::string>();
}

// What both providers' own APIs call the parts of a message that are no text.
bool IsMedia(const json& type) {
  static constexpr std::array<std::string_view, 7> kMedia = {
      "image", "image_url", "input_image", "file", "input_audio", "document", "video_url"};
  return type.is_string() && std::ranges::contains(kMedia, type.get_ref<const std::string&>());
}

// Text, or a list of text parts as both providers' own APIs have it. `where` is for the refusal.
base::Result<std::string> ParseContent(const json& content, const std::string& where) {
  const auto other = [&where] {
    return Invalid(where + " must be text, or a list of parts {\"type\": \"text\", \"text\": …}.");
  };
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return other();
  std::string text;
  for (const json& part : content) {
    if (!part.is_object()) return other();
    const json type = part.value("type", json());
    if (IsMedia(type)) {
      return Invalid(where + " has a part of type \"" + type.get<std::string>() +
                     "\": images, audio and files are not supported here. Send text only.");
    }
    const auto found = part.find("text");
    if (type != "text" || found == part.end() || !found->is_string()) return other();
    text += found->get_ref<const std::string&>();
  }
  return text;
}

base::Result<void> ParseMessages(const json& object, ChatRequest& request) {
  const auto messages = object.find("messages");
  if (messages == object.end())
    return Invalid("\"messages\" is missing; send a list of {\"role\", \"content\"}.");
  if (!messages->is_array() || messages->empty() || messages->size() > kMaxMessages) {
    return Invalid("\"messages\" must be a list of 1 to " + std::to_string(kMaxMessages) +
                   " messages, each {\"role\", \"content\"}.");
  }
  for (size_t i = 0; i < messages->size(); ++i) {
    const std::string where = "messages[" + std::to_string(i) + "]";
    const json& message = (*messages)[i];
    if (!message.is_object()) return Invalid(where + " must be an object {\"role\", \"content\"}.");
    const json role = message.value("role", json());
    if (role != "user" && role != "assistant" && role != "system") {
      return Invalid(where + ".role must be \"user\", \"assistant\" or \"system\".");
    }
    const auto content = ParseContent(message.value("content", json()), where + ".content");
    if (!content) return std::unexpected(content.error());
    if (content->empty()) return Invalid(where + ".content is empty.");
    if (role == "system") {
      // One place for instructions, whichever provider answers.
      request.system += (request.system.empty() ? "" : "\n\n") + *content;
    } else {
      request.messages.push_back({role.get<std::string>(), *content});
    }
  }
  if (request.messages.empty()) return Invalid("\"messages\" has no message of a user.");
  return {};
}

}  // namespace

base::Result<ChatRequest> ParseChatRequest(std::string_view body, const std::string& default_model) {
  const auto object = http::ParseJsonObject(
      body, {"messages", "model", "stream", "max_tokens", "temperature", "system", "schema", "format"});
  if (!object) return std::unexpected(object.error());
  ChatRequest request;
  auto model = ParseModel(*object, default_model);
  if (!model) return std::unexpected(model.error());
  request.model = std::move(*model);
  // null is what many clients send for "not set".
  const auto given = [&](const char* name) -> const json* {
    const auto found = object->find(name);
    return found == object->end() || found->is_null() ? nullptr : &*found;
  };
  if (const json* system = given("system")) {
    const auto text = ParseContent(*system, "\"system\"");
    if (!text) return std::unexpected(text.error());
    request.system = *text;
  }
  if (const json* stream = given("stream")) {
    if (!stream->is_boolean()) return Invalid("\"stream\" must be true or false.");
    request.stream = stream->get<bool>();
  }
  if (const json* schema = given("schema")) {
    if (!schema->is_boolean()) return Invalid("\"schema\" must be true or false.");
    request.schema = schema->get<bool>();
  }
  if (const json* format = given("format")) {
    if (*format != "events" && *format != "openai")
      return Invalid("\"format\" must be \"events\" or \"openai\".");
    request.format = *format == "openai" ? ChatFormat::kOpenAi : ChatFormat::kEvents;
  }
  if (const json* tokens = given("max_tokens")) {
    const bool whole = tokens->is_number_integer() &&
                       (!tokens->is_number_unsigned() || tokens->get<uint64_t>() <= uint64_t{kMaxTokens});
    if (!whole || tokens->get<int64_t>() < 1 || tokens->get<int64_t>() > kMaxTokens) {
      return Invalid("\"max_tokens\" must be a whole number from 1 to " + std::to_string(kMaxTokens) + ".");
    }
    request.max_tokens = tokens->get<int64_t>();
  }
  if (const json* temperature = given("temperature")) {
    if (!temperature->is_number() || !(temperature->get<double>() >= 0 && temperature->get<double>() <= 2)) {
      return Invalid("\"temperature\" must be a number from 0 to 2.");
    }
    request.temperature = temperature->get<double>();
  }
  if (const auto messages = ParseMessages(*object, request); !messages)
    return std::unexpected(messages.error());
  return request;
}

base::Result<EmbedRequest> ParseEmbedRequest(std::string_view body) {
  const auto object = http::ParseJsonObject(body, {"input", "model"});
  if (!object) return std::unexpected(object.error());
  EmbedRequest request;
  auto model = ParseModel(*object, "");
  if (!model) return std::unexpected(model.error());
  request.model = std::move(*model);
  const auto input = object->find("input");
  if (input == object->end()) return Invalid("\"input\" is missing; send a text or a list of texts.");
  if (input->is_string()) {
    request.inputs.push_back(input->get<std::string>());
  } else if (input->is_array() && !input->empty() && input->size() <= kMaxEmbedInputs &&
             std::ranges::all_of(*input, [](const json& text) { return text.is_string(); })) {
    request.inputs = input->get<std::vector<std::string>>();
  } else {
    return Invalid("\"input\" must be a text or a list of 1 to " + std::to_string(kMaxEmbedInputs) +
                   " texts.");
  }
  if (std::ranges::any_of(request.inputs, [](const std::string& text) { return text.empty(); })) {
    return Invalid("\"input\" has an empty text.");
  }
  return request;
}

}  // namespace pondpilot::proxy::ai
