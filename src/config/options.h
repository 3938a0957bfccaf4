#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"
#include "config/text_rules.h"

// Every option of the proxy, once. Loading, validation, the dump and the reference page are made from this
// table.
namespace pondpilot::config {

// Where an option's value lives, and with that its type.
template <typename T>
using Ref = T& (*)(Config&);
using Field = std::variant<Ref<uint16_t>, Ref<uint32_t>, Ref<double>, Ref<bool>, Ref<std::string>,
                           Ref<base::Secret>, Ref<std::chrono::milliseconds>, Ref<uint64_t>,
                           Ref<std::vector<std::string>>, Ref<std::vector<AttachedDatabase>>>;

// Both ends included. Milliseconds for durations, bytes for sizes.
struct Range {
  double least;
  double most;
};

struct Option {
  std::string_view key;           // in YAML, dotted; empty: in the environment only
  std::string_view env;           // environment variable; empty: in YAML only
  Field field;                    // uint64_t is a size in bytes
  std::string_view default_text;  // as in YAML; lists: empty
  std::optional<Range> range = std::nullopt;
  const TextRule* rule = nullptr;      // for text, secrets and the elements of lists
  bool bare_env_milliseconds = false;  // durations: a bare number in the environment is milliseconds
  bool secret = false;                 // never printed
  bool required = false;
  bool reloadable = false;       // a running proxy takes a new value on SIGHUP
  std::string_view example;      // as in YAML
  std::string_view description;  // Markdown, one or more sentences
};

std::span<const Option> Options();

// The option with this YAML key, or nullptr.
const Option* FindOption(std::string_view key);

// "port", "duration", "list of text" …, for people.
std::string TypeName(const Option& option);

// What may be given, for people: "a whole number from 1 to 65535".
std::string Allowed(const Option& option);

enum class Origin { kFile, kEnvironment };

// Reads `text` as the option's type, checks it and stores it in `config`. The error names what is allowed
// and, for choices, the nearest one; it doesn't hold `text`. Not for lists.
std::expected<void, std::string> SetFromText(const Option& option, std::string_view text, Origin origin,
                                             Config& config);

// One element of a list of text, checked and normalised. The error is as above.
std::expected<std::string, std::string> CheckElement(const Option& option, std::string_view text);

// The value in `config` as text: secrets as "***" (or empty), lists as [a, b].
std::string RenderValue(const Option& option, Config& config);

// Every option as "key = value" lines in the table's order, attached databases as one line each. Secrets and
// passwords are shown as "***".
std::string DumpRedacted(const Config& config);

}  // namespace pondpilot::config
