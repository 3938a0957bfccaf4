#include "telemetry/trace_context.h"

#include <algorithm>

namespace pondpilot::telemetry {
namespace {

// Lower-case hex digits, not all of them zeros.
bool IsId(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }) &&
         std::ranges::any_of(text, [](char c) { return c != '0'; });
}

}  // namespace

std::string_view TraceIdOf(std::string_view traceparent) {
  // 00-<32 digits>-<16 digits>-<2 digits>
  constexpr size_t kLength = 55;
  if (traceparent.size() != kLength || !traceparent.starts_with("00-") || traceparent[35] != '-' ||
      traceparent[52] != '-') {
    return {};
  }
  const std::string_view trace = traceparent.substr(3, 32);
  const bool flags = std::ranges::all_of(
      traceparent.substr(53), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  return IsId(trace) && IsId(traceparent.substr(36, 16)) && flags ? trace : std::string_view();
}

}  // namespace pondpilot::telemetry
