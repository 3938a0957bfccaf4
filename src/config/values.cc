#include "config/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/text.h"

namespace pondpilot::config {
namespace {

constexpr uint64_t kMaxCount = 1'000'000'000'000'000;

bool IsDigits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// The leading digits of `text` as a number; what follows them is left in `text`.
std::optional<uint64_t> TakeCount(std::string_view& text) {
  const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto count = ParseInteger(text.substr(0, end));
  text.remove_prefix(end);
  if (!count || *count > kMaxCount) return std::nullopt;
  return count;
}

}  // namespace

std::optional<uint64_t> ParseInteger(std::string_view text) {
  if (!IsDigits(text) || text.size() > 18 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::optional<double> ParseNumber(std::string_view text) {
  const size_t dot = text.find('.');
  if (!ParseInteger(text.substr(0, dot))) return std::nullopt;
  if (dot != std::string_view::npos && (!IsDigits(text.substr(dot + 1)) || text.size() - dot > 18)) {
    return std::nullopt;
  }
  double value = 0;
  const auto parsed =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<bool> ParseBool(std::string_view text) {
  const std::string lower = base::ToLowerAscii(text);
  if (lower == "true" || lower == "yes" || lower == "on" || lower == "1") return true;
  if (lower == "false" || lower == "no" || lower == "off" || lower == "0") return false;
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  const auto count = TakeCount(text);
  if (!count) return std::nullopt;
  constexpr std::array<std::pair<std::string_view, int64_t>, 4> kUnits = {
      {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};
  for (const auto& [unit, milliseconds] : kUnits) {
    if (text != unit) continue;
    if (static_cast<int64_t>(*count) > INT64_MAX / milliseconds) return std::nullopt;
    return std::chrono::milliseconds(static_cast<int64_t>(*count) * milliseconds);
  }
  return std::nullopt;
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  const auto count = TakeCount(text);
  if (!count) return std::nullopt;
  const std::string unit = base::ToLowerAscii(text);
  int shift = 0;
  if (unit == "k" || unit == "kb") {
    shift = 10;
  } else if (unit == "m" || unit == "mb") {
    shift = 20;
  } else if (unit == "g" || unit == "gb") {
    shift = 30;
  } else if (!unit.empty() && unit != "b") {
    return std::nullopt;
  }
  if (*count > UINT64_MAX >> shift) return std::nullopt;
  return *count << shift;
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  const int64_t count = duration.count();
  if (count != 0 && count % 3'600'000 == 0) return std::to_string(count / 3'600'000) + "h";
  if (count != 0 && count % 60'000 == 0) return std::to_string(count / 60'000) + "m";
  if (count % 1000 == 0) return std::to_string(count / 1000) + "s";
  return std::to_string(count) + "ms";
}

std::string FormatSize(uint64_t bytes) {
  if (bytes != 0 && bytes % (1ull << 30) == 0) return std::to_string(bytes >> 30) + "g";
  if (bytes != 0 && bytes % (1ull << 20) == 0) return std::to_string(bytes >> 20) + "m";
  if (bytes != 0 && bytes % (1ull << 10) == 0) return std::to_string(bytes >> 10) + "k";
  return std::to_string(bytes);
}

std::string FormatNumber(double number) {
  std::array<char, 400> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::fixed);
  return {buffer.data(), end.ptr};
}

std::string Printable(std::string_view text, size_t most) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : text.substr(0, most)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out;
}

std::string Quote(std::string_view text) {
  constexpr size_t kShown = 60;
  return "\"" + Printable(text, kShown) + (text.size() > kShown ? "\"…" : "\"");
}

}  // namespace pondpilot::config
