#include <arrow/util/utf8.h>

#include <cstdint>

#include "worker/documents/value_writer.h"

namespace pondpilot::worker::documents {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

void AppendEscaped(std::string_view text, std::string& out) {
  size_t plain = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out.append(text, plain);
}

bool IsUtf8(std::string_view text) {
  static const bool kTablesMade = (arrow::util::InitializeUTF8(), true);
  (void)kTablesMade;
  return arrow::util::ValidateUTF8(reinterpret_cast<const uint8_t*>(text.data()),
                                   static_cast<int64_t>(text.size()));
}

// The length of the well-formed character at the beginning of `text`; 0 when there is none.
size_t CharacterAt(std::string_view text) {
  for (size_t length = 1; length <= 4 && length <= text.size(); ++length) {
    if (IsUtf8(text.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  if (IsUtf8(text)) {
    AppendEscaped(text, out);
  } else {
    while (!text.empty()) {
      const size_t length = CharacterAt(text);
      if (length == 0) {
        out += kReplacement;
        text.remove_prefix(1);
      } else {
        AppendEscaped(text.substr(0, length), out);
        text.remove_prefix(length);
      }
    }
  }
  out += '"';
}

}  // namespace pondpilot::worker::documents
