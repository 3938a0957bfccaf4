#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace pondpilot::worker::airport {

// What airport's actions say, in msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md), as a
// document. Maps keep their order.
using Message = nlohmann::ordered_json;

// A message is refused that is nested more deeply, or has more values, or a map with more keys or longer
// ones: each key is looked for among those before it.
inline constexpr int kMaxDepth = 32;
inline constexpr size_t kMaxValues = 200'000;
inline constexpr size_t kMaxKeys = 128;
inline constexpr size_t kMaxKeyBytes = 1024;

// Reads one message. Text may have been sent as str or as bin, keys of maps as well. kInvalidArgument for
// bytes that are anything else, for what follows the message, and past a bound.
base::Result<Message> Unpack(std::string_view bytes);

std::string Pack(const Message& message);

// A value that goes out as bin.
Message Binary(std::string_view bytes);

// The text under the first of `names` that the map has; kInvalidArgument when it has none of them or holds no
// text there. Unknown keys are nobody's business.
base::Result<std::string> TextAt(const Message& map, std::initializer_list<const char*> names);
// The same; what is missing or nil is "".
base::Result<std::string> TextOr(const Message& map, std::initializer_list<const char*> names);
// What is missing or nil is false.
base::Result<bool> FlagAt(const Message& map, const char* name);
// What is missing or nil is nullopt.
base::Result<std::optional<std::vector<uint64_t>>> NumbersAt(const Message& map, const char* name);
base::Result<std::vector<std::string>> TextsAt(const Message& map, const char* name);

}  // namespace pondpilot::worker::airport
