#include "worker/flight/statement_text.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace pondpilot::worker::flight {
namespace {

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

size_t AfterLine(std::string_view sql, size_t at) { return std::min(sql.find('\n', at), sql.size()); }

// Comments nest.
size_t AfterBlock(std::string_view sql, size_t at) {
  size_t depth = 0;
  while (at < sql.size()) {
    if (sql.substr(at, 2) == "/*") {
      ++depth;
      at += 2;
    } else if (sql.substr(at, 2) == "*/") {
      at += 2;
      if (--depth == 0) return at;
    } else {
      ++at;
    }
  }
  return at;
}

// `at` is the opening quote. A doubled quote reads as the end of one text and the start of the next, which is
// as good here.
size_t AfterQuoted(std::string_view sql, size_t at, bool backslashes) {
  const char quote = sql[at++];
  while (at < sql.size() && sql[at] != quote) at += backslashes && sql[at] == '\\' ? 2 : 1;
  return std::min(at + 1, sql.size());
}

size_t AfterWord(std::string_view sql, size_t at) {
  while (at < sql.size() && (IsLetter(sql[at]) || IsDigit(sql[at]) || sql[at] == '$')) ++at;
  return at;
}

// The tag of a dollar quote that begins at `at` ("$$", "$tag$"), empty when none does.
std::string_view DollarTag(std::string_view sql, size_t at) {
  size_t end = at + 1;
  if (end < sql.size() && IsDigit(sql[end])) return {};
  while (end < sql.size() && (IsLetter(sql[end]) || IsDigit(sql[end]))) ++end;
  return end < sql.size() && sql[end] == '$' ? sql.substr(at, end + 1 - at) : std::string_view();
}

}  // namespace

StatementText LookAt(std::string_view sql) {
  StatementText text;
  bool in_statement = false;
  size_t begin = 0;
  size_t at = 0;
  while (at < sql.size()) {
    const char c = sql[at];
    if (IsBlank(c)) {
      ++at;
      continue;
    }
    if (sql.substr(at, 2) == "--") {
      at = AfterLine(sql, at);
      continue;
    }
    if (sql.substr(at, 2) == "/*") {
      at = AfterBlock(sql, at);
      continue;
    }
    if (c == ';') {
      if (in_statement && text.statements == 1) text.first = sql.substr(begin, at - begin);
      in_statement = false;
      ++at;
      continue;
    }
    const bool starts = !in_statement;
    if (starts) {
      in_statement = true;
      begin = at;
      ++text.statements;
    }
    const size_t from = at;
    if (c == '\'' || c == '"') {
      at = AfterQuoted(sql, at, false);
    } else if ((c == 'e' || c == 'E') && at + 1 < sql.size() && sql[at + 1] == '\'') {
      at = AfterQuoted(sql, at + 1, true);
    } else if (IsLetter(c)) {
      at = AfterWord(sql, at);
      if (starts && text.statements == 1) text.first_word = base::ToLowerAscii(sql.substr(from, at - from));
    } else if (const std::string_view tag = c == '$' ? DollarTag(sql, at) : std::string_view();
               !tag.empty()) {
      const size_t close = sql.find(tag, at + tag.size());
      at = close == std::string_view::npos ? sql.size() : close + tag.size();
    } else if (c == '?' || (c == '$' && AfterWord(sql, at + 1) > at + 1)) {
      text.has_parameters = true;
      at = AfterWord(sql, at + 1);
    } else {
      if (starts && text.statements == 1) text.first_word = c;
      ++at;
    }
  }
  if (in_statement && text.statements == 1) text.first = sql.substr(begin);
  return text;
}

bool MayBeQuery(const StatementText& text) {
  static constexpr std::array<std::string_view, 11> kWords = {
      "select", "with", "from", "values", "table", "(", "show", "describe", "desc", "summarize", "pivot"};
  return text.statements == 1 && std::ranges::find(kWords, text.first_word) != kWords.end();
}

}  // namespace pondpilot::worker::flight
