#include "telemetry/log.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/hex.h"

namespace pondpilot::telemetry {
namespace {

std::atomic<Level> threshold{Level::kInfo};
std::atomic<Sink> test_sink{nullptr};

thread_local const LogScope* innermost = nullptr;

std::string_view Name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

bool NeedsQuotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 0x7F || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

void AppendValue(std::string& line, std::string_view value, bool always_quote) {
  if (!always_quote && !NeedsQuotes(value)) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else if (byte < ' ' || byte == 0x7F) {
      line += "\\x" + base::ToHex(std::string_view(&c, 1));
    } else {
      line += c;
    }
  }
  line += '"';
}

void WriteWhole(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return;  // Nobody reads the log: nothing to tell, and nobody to tell it to.
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void AppendField(std::string& line, std::string_view key, std::string_view value) {
  line += ' ';
  line += key;
  line += '=';
  AppendValue(line, value, false);
}

std::string ScopeFields(std::string_view request_id, std::string_view trace_id) {
  std::string fields;
  if (!request_id.empty()) AppendField(fields, "request_id", request_id);
  if (!trace_id.empty()) AppendField(fields, "trace_id", trace_id);
  return fields;
}

}  // namespace

LogScope::LogScope(std::string_view request_id, std::string_view trace_id)
    : fields_(ScopeFields(request_id, trace_id)), outer_(innermost) {
  innermost = this;
}

LogScope::~LogScope() { innermost = outer_; }

std::string FormatLine(Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line = "level=";
  line += Name(level);
  line += " msg=";
  AppendValue(line, message, true);
  for (const Field& field : fields) AppendField(line, field.key, field.value);
  if (innermost != nullptr) line += innermost->fields_;
  return line;
}

bool Logs(Level level) { return level >= threshold.load(std::memory_order_relaxed); }

void Log(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (!Logs(level)) return;
  std::string line = FormatLine(level, message, fields);
  if (const Sink sink = test_sink.load()) {
    sink(line);
    return;
  }
  line += '\n';
  WriteWhole(line);  // One write() per line: lines of several threads don't mix.
}

void SetThreshold(Level level) { threshold.store(level); }

void SetSinkForTest(Sink sink) { test_sink.store(sink); }

}  // namespace pondpilot::telemetry
