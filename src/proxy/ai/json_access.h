#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace pondpilot::proxy::ai {

// What stands at `pointer` in a provider's answer, or a neutral value when it isn't there or is of another
// type: a field that a server leaves out must not end a conversation.
inline std::string TextAt(const nlohmann::json& document, const char* pointer) {
  const nlohmann::json::json_pointer at(pointer);
  if (!document.contains(at) || !document.at(at).is_string()) return {};
  return document.at(at).get<std::string>();
}

// Whole and not negative, else 0.
inline int64_t CountAt(const nlohmann::json& document, const char* pointer) {
  const nlohmann::json::json_pointer at(pointer);
  if (!document.contains(at) || !document.at(at).is_number_unsigned()) return 0;
  return static_cast<int64_t>(document.at(at).get<uint64_t>());
}

}  // namespace pondpilot::proxy::ai
