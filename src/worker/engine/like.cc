#include "worker/engine/like.h"

#include <cstddef>

namespace pondpilot::worker::engine {
namespace {

// The bytes of the character that begins at `at`.
size_t CharacterBytes(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  return end - at;
}

}  // namespace

bool IsLike(std::string_view text, std::string_view pattern) {
  size_t t = 0;
  size_t p = 0;
  // Where to go on when what follows the last % does not fit: the pattern after it, one character further.
  size_t retry_p = std::string_view::npos;
  size_t retry_t = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      retry_p = ++p;
      retry_t = t;
      continue;
    }
    if (p < pattern.size() && pattern[p] == '_') {
      ++p;
      t += CharacterBytes(text, t);
      continue;
    }
    if (p < pattern.size()) {
      const size_t literal = pattern[p] == '\\' && p + 1 < pattern.size() ? p + 1 : p;
      if (pattern[literal] == text[t]) {
        p = literal + 1;
        ++t;
        continue;
      }
    }
    if (retry_p == std::string_view::npos) return false;
    p = retry_p;
    retry_t += CharacterBytes(text, retry_t);
    t = retry_t;
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

}  // namespace pondpilot::worker::engine
