#include "jail/plan_message.h"

#include <charconv>
#include <format>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

namespace pondpilot::jail {
namespace {

constexpr char kVerb[] = "plan";

void AddAll(Message& message, const char* name, const std::vector<std::string>& values) {
  for (const std::string& value : values) message.Add(name, value);
}

// False when it is missing or does not fit.
bool Read(const Message& message, const char* name, uint32_t& value) {
  const auto number = message.Number(name);
  if (!number || *number > std::numeric_limits<uint32_t>::max()) return false;
  value = static_cast<uint32_t>(*number);
  return true;
}

bool Read(const Message& message, const char* name, double& value) {
  const std::string* text = message.Find(name);
  if (text == nullptr) return false;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc() && end == text->data() + text->size();
}

}  // namespace

Message ToMessage(const Plan& plan) {
  Message message{kVerb, {}};
  message.Add("program", plan.program)
      .Add("memory", plan.amounts.memory_bytes)
      .Add("cores", std::format("{}", plan.amounts.cpu_cores))
      .Add("threads", plan.amounts.threads)
      .Add("turn", plan.turn)
      .Add("namespaces", plan.namespaces ? 1U : 0U);
  if (plan.user) message.Add("user", *plan.user);
  if (!plan.title.empty()) message.Add("title", plan.title);
  AddAll(message, "variable", plan.environment);
  AddAll(message, "readable", plan.files.readable);
  AddAll(message, "writable", plan.files.writable);
  for (const Layer layer : plan.layers) message.Add("layer", std::string(ToString(layer)));
  return message;
}

std::optional<Plan> PlanFrom(const Message& message) {
  const std::string* program = message.Find("program");
  const auto memory = message.Number("memory");
  const auto namespaces = message.Number("namespaces");
  Plan plan;
  if (message.verb != kVerb || program == nullptr || !memory || !namespaces ||
      !Read(message, "cores", plan.amounts.cpu_cores) || !Read(message, "threads", plan.amounts.threads) ||
      !Read(message, "turn", plan.turn)) {
    return std::nullopt;
  }
  plan.program = *program;
  plan.amounts.memory_bytes = *memory;
  plan.namespaces = *namespaces != 0;
  if (message.Find("user") != nullptr) {
    uint32_t user = 0;
    if (!Read(message, "user", user)) return std::nullopt;
    plan.user = user;
  }
  if (const std::string* title = message.Find("title")) plan.title = *title;
  plan.environment = message.All("variable");
  plan.files.readable = message.All("readable");
  plan.files.writable = message.All("writable");
  for (const std::string& name : message.All("layer")) {
    const auto layer = LayerOf(name);
    if (!layer) return std::nullopt;
    plan.layers.push_back(*layer);
  }
  // Without a list a layer that fails would be passed over.
  if (plan.layers.empty()) return std::nullopt;
  plan.runs_program = false;
  return plan;
}

}  // namespace pondpilot::jail
