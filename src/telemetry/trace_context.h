#pragma once

#include <string_view>

namespace pondpilot::telemetry {

// The header and metadata entry of W3C Trace Context.
inline constexpr char kTraceParent[] = "traceparent";

// The trace's id in a traceparent (https://www.w3.org/TR/trace-context/), for log lines: 32 lower-case hex
// digits. Empty when the text is none of version 00.
std::string_view TraceIdOf(std::string_view traceparent);

}  // namespace pondpilot::telemetry
