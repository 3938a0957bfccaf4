#include "config/options.h"

#include <algorithm>
#include <type_traits>

#include "base/text.h"
#include "config/values.h"

namespace pondpilot::config {
namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};

bool Within(const Option& option, double value) {
  return !option.range || (value >= option.range->least && value <= option.range->most);
}

// Reads by type alone; nullopt: not written like the type. Bounds come after.
template <typename T>
std::optional<T> Read(const Option& option, std::string_view text, Origin origin) {
  if constexpr (std::is_same_v<T, bool>) {
    return ParseBool(text);
  } else if constexpr (std::is_same_v<T, double>) {
    const auto value = ParseNumber(text);
    return value && Within(option, *value) ? value : std::nullopt;
  } else if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
    auto value = ParseDuration(text);
    if (!value && origin == Origin::kEnvironment && option.bare_env_milliseconds) {
      if (const auto count = ParseInteger(text))
        value = std::chrono::milliseconds(static_cast<int64_t>(*count));
    }
    return value && Within(option, static_cast<double>(value->count())) ? value : std::nullopt;
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    const auto value = ParseSize(text);
    return value && Within(option, static_cast<double>(*value)) ? value : std::nullopt;
  } else {
    const auto value = ParseInteger(text);
    if (!value || *value > std::numeric_limits<T>::max() || !Within(option, static_cast<double>(*value))) {
      return std::nullopt;
    }
    return static_cast<T>(*value);
  }
}

std::string RangeText(const Option& option, auto format) {
  if (!option.range) return {};
  return " from " + format(option.range->least) + " to " + format(option.range->most);
}

std::string FormatWhole(double value) { return std::to_string(static_cast<uint64_t>(value)); }

std::string FormatMilliseconds(double value) {
  return FormatDuration(std::chrono::milliseconds(static_cast<int64_t>(value)));
}

std::string FormatBytes(double value) { return FormatSize(static_cast<uint64_t>(value)); }

std::expected<std::string, std::string> CheckText(const Option& option, std::string_view text) {
  const TextRule* const rule = option.rule;
  if (rule == nullptr) return std::string(text);
  if (rule->choices.empty()) {
    if (auto accepted = rule->accept(text)) return std::move(*accepted);
    return std::unexpected("allowed: " + std::string(rule->allowed) + ".");
  }
  if (std::ranges::contains(rule->choices, text)) return std::string(text);
  const auto nearest = base::Nearest(text, {rule->choices.begin(), rule->choices.end()});
  return std::unexpected("allowed: " + std::string(rule->allowed) + "." +
                         (nearest ? " Did you mean \"" + *nearest + "\"?" : std::string()));
}

std::string Host(const std::string& host) { return host.contains(':') ? "[" + host + "]" : host; }

std::string RenderDatabase(const AttachedDatabase& database) {
  std::string out = database.alias + " " + std::string(ToString(database.kind)) +
                    (database.read_only ? " read_only" : " read_write");
  if (database.unavailable) return out + " unavailable: " + *database.unavailable;
  if (database.sqlite_path) return out + " path=" + *database.sqlite_path;
  if (!database.server) return out;
  const ServerTarget& server = *database.server;
  out += " host=" + Host(server.host) + " port=" + std::to_string(server.port) +
         " database=" + server.database + " user=" + server.user +
         " password=" + (server.password.empty() ? "" : "***");
  for (const auto& [name, value] : server.options) out += " " + name + "=" + value;
  return out;
}

}  // namespace

const Option* FindOption(std::string_view key) {
  for (const Option& option : Options()) {
    if (!option.key.empty() && option.key == key) return &option;
  }
  return nullptr;
}

std::string TypeName(const Option& option) {
  return std::visit(Overloaded{
                        [](Ref<uint16_t>) { return "port"; },
                        [](Ref<uint32_t>) { return "whole number"; },
                        [](Ref<double>) { return "number"; },
                        [](Ref<bool>) { return "true or false"; },
                        [](Ref<std::string>) { return "text"; },
                        [](Ref<base::Secret>) { return "secret text"; },
                        [](Ref<std::chrono::milliseconds>) { return "duration"; },
                        [](Ref<uint64_t>) { return "size"; },
                        [](Ref<std::vector<std::string>>) { return "list of text"; },
                        [](Ref<std::vector<AttachedDatabase>>) { return "list of maps"; },
                    },
                    option.field);
}

std::string Allowed(const Option& option) {
  const auto text = [&] { return option.rule ? std::string(option.rule->allowed) : std::string("any text"); };
  return std::visit(Overloaded{
                        [&](Ref<uint16_t>) { return "a whole number" + RangeText(option, FormatWhole); },
                        [&](Ref<uint32_t>) { return "a whole number" + RangeText(option, FormatWhole); },
                        [&](Ref<double>) { return "a number" + RangeText(option, FormatNumber); },
                        [&](Ref<bool>) { return std::string("true or false"); },
                        [&](Ref<std::string>) { return text(); },
                        [&](Ref<base::Secret>) { return text(); },
                        [&](Ref<std::chrono::milliseconds>) {
                          return "a whole number and ms, s, m or h, as in " + std::string(option.example) +
                                 "," + RangeText(option, FormatMilliseconds) +
                                 (option.bare_env_milliseconds
                                      ? "; in the environment a number alone is milliseconds"
                                      : "");
                        },
                        [&](Ref<uint64_t>) {
                          return "a whole number and k, m or g, as in " + std::string(option.default_text) +
                                 "," + RangeText(option, FormatBytes);
                        },
                        [&](Ref<std::vector<std::string>>) { return "a list; each element: " + text(); },
                        [&](Ref<std::vector<AttachedDatabase>>) {
                          return std::string("a list of maps with alias, type and connection_string");
                        },
                    },
                    option.field);
}

std::expected<void, std::string> SetFromText(const Option& option, std::string_view text, Origin origin,
                                             Config& config) {
  using Outcome = std::expected<void, std::string>;
  const auto simple = [&]<typename T>(Ref<T> ref) -> Outcome {
    const auto value = Read<T>(option, text, origin);
    if (!value) return std::unexpected("allowed: " + Allowed(option) + ".");
    ref(config) = *value;
    return {};
  };
  return std::visit(Overloaded{
                        [&](Ref<std::string> ref) -> Outcome {
                          auto value = CheckText(option, text);
                          if (!value) return std::unexpected(value.error());
                          ref(config) = std::move(*value);
                          return {};
                        },
                        [&](Ref<base::Secret> ref) -> Outcome {
                          auto value = CheckText(option, text);
                          if (!value) return std::unexpected(value.error());
                          ref(config) = base::Secret(std::move(*value));
                          return {};
                        },
                        [&](Ref<std::vector<std::string>>) -> Outcome {
                          return std::unexpected("allowed: " + Allowed(option) + ".");
                        },
                        [&](Ref<std::vector<AttachedDatabase>>) -> Outcome {
                          return std::unexpected("allowed: " + Allowed(option) + ".");
                        },
                        [&](Ref<uint16_t> ref) { return simple(ref); },
                        [&](Ref<uint32_t> ref) { return simple(ref); },
                        [&](Ref<double> ref) { return simple(ref); },
                        [&](Ref<bool> ref) { return simple(ref); },
                        [&](Ref<std::chrono::milliseconds> ref) { return simple(ref); },
                        [&](Ref<uint64_t> ref) { return simple(ref); },
                    },
                    option.field);
}

std::expected<std::string, std::string> CheckElement(const Option& option, std::string_view text) {
  return CheckText(option, text);
}

std::string RenderValue(const Option& option, Config& config) {
  return std::visit(Overloaded{
                        [&](Ref<uint16_t> ref) { return std::to_string(ref(config)); },
                        [&](Ref<uint32_t> ref) { return std::to_string(ref(config)); },
                        [&](Ref<double> ref) { return FormatNumber(ref(config)); },
                        [&](Ref<bool> ref) { return std::string(ref(config) ? "true" : "false"); },
                        [&](Ref<std::string> ref) { return ref(config); },
                        [&](Ref<base::Secret> ref) { return std::string(ref(config).empty() ? "" : "***"); },
                        [&](Ref<std::chrono::milliseconds> ref) { return FormatDuration(ref(config)); },
                        [&](Ref<uint64_t> ref) { return FormatSize(ref(config)); },
                        [&](Ref<std::vector<std::string>> ref) {
                          std::string out;
                          for (const std::string& element : ref(config))
                            out += (out.empty() ? "" : ", ") + element;
                          return "[" + out + "]";
                        },
                        [&](Ref<std::vector<AttachedDatabase>> ref) {
                          std::string out;
                          for (const AttachedDatabase& database : ref(config)) {
                            out += (out.empty() ? "" : "; ") + RenderDatabase(database);
                          }
                          return "[" + out + "]";
                        },
                    },
                    option.field);
}

std::string DumpRedacted(const Config& config) {
  // The table's accessors give mutable references.
  Config copy = config;
  std::string out;
  for (const Option& option : Options()) {
    const auto line = [&](std::string_view name, std::string_view value) {
      out += std::string(name) + " =" + (value.empty() ? "" : " ") + std::string(value) + "\n";
    };
    if (const auto* databases = std::get_if<Ref<std::vector<AttachedDatabase>>>(&option.field)) {
      size_t index = 0;
      for (const AttachedDatabase& database : (*databases)(copy)) {
        line(std::string(option.key) + "[" + std::to_string(index++) + "]", RenderDatabase(database));
      }
      continue;
    }
    line(option.key.empty() ? option.env : option.key, RenderValue(option, copy));
  }
  return out;
}

}  // namespace pondpilot::config
