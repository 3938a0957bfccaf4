#include "proxy/ai/redactor.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/url/parse.hpp>

#include "base/text.h"

namespace pondpilot::proxy::ai {
namespace {

constexpr std::string_view kHidden = "[hidden]";
// What stands between words; what is quoted is a word of its own.
constexpr std::string_view kBetween = " \"'`<>()[]{},;|";
// So much of a key says too much of it.
constexpr size_t kKeyPiece = 8;
// Its ends, as they are shown when the middle is left out.
constexpr size_t kKeyEnd = 4;
// A run of letters and digits that is as long and has both is made by a machine: model names have none.
constexpr size_t kRandomRun = 20;
// More than this is not looked at.
constexpr size_t kMostRead = 8 << 10;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool HasRandomRun(std::string_view word) {
  size_t letters = 0;
  size_t digits = 0;
  for (const char c : word) {
    if (IsLetter(c)) {
      ++letters;
    } else if (IsDigit(c)) {
      ++digits;
    } else {
      letters = digits = 0;
    }
    if (letters > 0 && digits > 0 && letters + digits >= kRandomRun) return true;
  }
  return false;
}

// The middle of something left out: "sk-ab…yz", "sk-ab...yz", "sk-ab****".
bool IsShortened(std::string_view word) {
  if (word.contains("**")) return true;
  for (const std::string_view gap : {std::string_view("..."), std::string_view("…")}) {
    const size_t at = word.find(gap);
    if (at != word.npos && at > 0 && at + gap.size() < word.size()) return true;
  }
  return false;
}

bool IsUnder(std::string_view host, std::string_view domain) {
  return host == domain || (host.ends_with(domain) && host[host.size() - domain.size() - 1] == '.');
}

// Pages that help whoever asked.
bool IsDocumentation(std::string_view url) {
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed || parsed->scheme() != "https" || parsed->has_userinfo() || parsed->has_query()) return false;
  const std::string host = base::ToLowerAscii(parsed->host());
  return std::ranges::any_of(std::array{"openai.com", "anthropic.com", "claude.com"},
                             [&](const char* domain) { return IsUnder(host, domain); });
}

bool IsAddress(std::string_view host) {
  if (host.starts_with('[')) {
    host.remove_prefix(1);
    host = host.substr(0, host.find(']'));
  }
  boost::system::error_code error;
  (void)boost::asio::ip::make_address(host, error);
  return !error && host.find_first_of(".:") != host.npos;
}

bool IsInternalName(std::string_view host) {
  static constexpr std::array kDomains = {"internal", "local",     "localdomain", "localhost", "lan",
                                          "svc",      "home.arpa", "intranet",    "corp",      "private"};
  return std::ranges::any_of(kDomains, [&](const char* domain) { return IsUnder(host, domain); });
}

// "host:1234"
bool IsHostAndPort(std::string_view word) {
  const size_t colon = word.rfind(':');
  if (colon == word.npos || colon == 0 || word.size() - colon - 1 < 2 || word.size() - colon - 1 > 5)
    return false;
  return std::ranges::all_of(word.substr(colon + 1), IsDigit) &&
         std::ranges::all_of(word.substr(0, colon),
                             [](char c) { return IsLetter(c) || IsDigit(c) || c == '.' || c == '-'; });
}

}  // namespace

Redactor::Redactor(std::vector<base::Secret> keys, const std::vector<std::string>& base_urls) {
  for (const base::Secret& key : keys) {
    if (!key.empty()) keys_.emplace_back(base::ToLowerAscii(key.Reveal()));
  }
  for (const std::string& url : base_urls) {
    const auto parsed = boost::urls::parse_uri(url);
    if (parsed && !parsed->host().empty()) hosts_.push_back(base::ToLowerAscii(parsed->host_address()));
  }
}

bool Redactor::HoldsKey(const std::string& word) const {
  return std::ranges::any_of(keys_, [&](const base::Secret& secret) {
    const std::string& key = secret.Reveal();
    if (key.size() < kKeyEnd) return word == key;
    if (key.size() < kKeyPiece) return word.contains(key);
    for (size_t at = 0; at + kKeyPiece <= word.size(); ++at) {
      if (key.contains(std::string_view(word).substr(at, kKeyPiece))) return true;
    }
    const std::string_view end = std::string_view(key).substr(key.size() - kKeyEnd);
    const bool cut = word.contains("..") || word.contains("…");
    return word == end || (cut && (word.contains(end) || word.contains(key.substr(0, kKeyEnd))));
  });
}

bool Redactor::Hides(std::string_view given) const {
  const std::string word = base::ToLowerAscii(given);
  if (HoldsKey(word) || HasRandomRun(word) || IsShortened(word)) return true;
  if (word.contains("://")) return !IsDocumentation(word);
  // A name of a host may have a port, and a path behind it.
  std::string_view host = std::string_view(word).substr(0, word.find('/'));
  if (IsHostAndPort(host) || IsAddress(host)) return true;
  if (!host.starts_with('[')) host = host.substr(0, host.find(':'));
  if (IsAddress(host) || IsInternalName(host) || std::ranges::contains(hosts_, host)) return true;
  return word.starts_with('/') && std::ranges::count(word, '/') > 1;
}

std::string Redactor::Redact(std::string_view text, size_t most_bytes) const {
  std::string line(text.substr(0, kMostRead));
  // The word that is cut here may be a key.
  if (text.size() > kMostRead) line.resize(std::min(line.find_last_of(kBetween) + 1, line.size()));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7F) c = ' ';
  }
  std::string out;
  for (size_t at = 0; at < line.size();) {
    const size_t begin = std::min(line.find_first_not_of(kBetween, at), line.size());
    out.append(line, at, begin - at);
    const size_t end = std::min(line.find_first_of(kBetween, begin), line.size());
    std::string_view word = std::string_view(line).substr(begin, end - begin);
    // What ends a sentence is none of the word's.
    const size_t last = word.find_last_not_of(".:!?");
    const std::string_view tail = word.substr(last == word.npos ? 0 : last + 1);
    if (Hides(word.substr(0, word.size() - tail.size()))) {
      out += kHidden;
      out += tail;
    } else if (Hides(word)) {
      out += kHidden;
    } else {
      out += word;
    }
    at = end;
  }
  if (out.size() > most_bytes) {
    out.resize(most_bytes);
    while (!out.empty() && !base::IsUtf8(out)) out.pop_back();
    out += " …";
  }
  return out;
}

}  // namespace pondpilot::proxy::ai
