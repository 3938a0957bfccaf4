#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace pondpilot::telemetry {

enum class Level { kDebug, kInfo, kWarn, kError };

// One key=value pair of a log line. Keys are lower_snake_case and come from the source, never from input.
struct Field {
  std::string_view key;
  std::string value;

  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  template <std::integral T>
  Field(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
};

// Renders `level=info msg="…" key=value …`. A value is quoted when it holds a blank, a quote, an equals sign
// or anything unprintable, or is empty; inside quotes, quotes and backslashes are escaped with a backslash
// and control characters written as \n, \t or \xNN, so that no value can forge a line or a field.
std::string FormatLine(Level level, std::string_view message, std::initializer_list<Field> fields);

// While it lives, lines that its thread logs say which request they belong to: they end with request_id and,
// when there is one, trace_id. The inner one of two counts. Made and destroyed on the same thread.
class LogScope {
 public:
  LogScope(std::string_view request_id, std::string_view trace_id);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

 private:
  const std::string fields_;
  const LogScope* const outer_;
  friend std::string FormatLine(Level level, std::string_view message, std::initializer_list<Field> fields);
};

// Writes one line to standard output, whole, from any thread. Lines below the threshold are dropped.
void Log(Level level, std::string_view message, std::initializer_list<Field> fields = {});

// Would a line of this level be written? For those whose fields are costly to make.
bool Logs(Level level);

// Default kInfo.
void SetThreshold(Level level);

// Receives every line instead of standard output until it is given nullptr again. For tests.
using Sink = void (*)(const std::string& line);
void SetSinkForTest(Sink sink);

}  // namespace pondpilot::telemetry
