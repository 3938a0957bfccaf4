#include "base/base64.h"

#include <cstdint>

namespace pondpilot::base {
namespace {

constexpr std::string_view kLettersAndDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

int Value(char c, char at62, char at63) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == at62) return 62;
  if (c == at63) return 63;
  return -1;
}

std::optional<std::string> Decode(std::string_view text, char at62, char at63) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = Value(c, at62, at63);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  // Two texts must not mean the same bytes.
  if ((bits & ((1u << count) - 1)) != 0) return std::nullopt;
  return out;
}

}  // namespace

std::string ToBase64Url(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() * 4 + 2) / 3);
  uint32_t bits = 0;
  int count = 0;
  const auto digit = [](uint32_t value) {
    if (value < 62) return kLettersAndDigits[value];
    return value == 62 ? '-' : '_';
  };
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    count += 8;
    while (count >= 6) {
      count -= 6;
      out.push_back(digit(bits >> count & 63));
    }
  }
  if (count > 0) out.push_back(digit(bits << (6 - count) & 63));
  return out;
}

std::optional<std::string> FromBase64Url(std::string_view text) { return Decode(text, '-', '_'); }

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.size() % 4 == 0) {
    if (text.ends_with('=')) text.remove_suffix(1);
    if (text.ends_with('=')) text.remove_suffix(1);
  }
  return Decode(text, '+', '/');
}

}  // namespace pondpilot::base
