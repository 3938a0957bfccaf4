#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace pondpilot::telemetry {

// One request as a trace shows it, from when it was begun until it is destroyed. Thread-safe.
class Span {
 public:
  virtual ~Span() = default;

  // What a part of the request's work elsewhere is given as its traceparent.
  virtual std::string TraceParent() const = 0;
  // 32 lower-case hex digits, for log lines.
  virtual std::string TraceId() const = 0;
  // Keys come from the source, never from input.
  virtual void Set(std::string_view key, std::string_view value) = 0;
  virtual void Set(std::string_view key, int64_t value) = 0;
  // It ended with a failure of ours, not of the caller's.
  virtual void Fail() = 0;
};

// Exports spans. Thread-safe.
class Tracer {
 public:
  virtual ~Tracer() = default;
  // `name` comes from a closed set. `traceparent` is what a client has sent that is believed: it says which
  // trace the span is of and whether it is exported, and with an identifier of its choice it could say so in
  // spite of any ratio. Anything else begins a trace of its own. Never null.
  virtual std::shared_ptr<Span> Begin(std::string_view name, std::string_view traceparent) = 0;
};

}  // namespace pondpilot::telemetry
