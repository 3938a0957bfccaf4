#include "proxy/http/negotiation.h"

#include <charconv>

#include "base/text.h"

namespace pondpilot::proxy::http {
namespace {

struct Wanted {
  std::string value;  // lower case
  double quality = 1;
  size_t position = 0;
};

// The part before the first `separator`; `text` keeps what is behind it.
std::string_view TakeUntil(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  const std::string_view part = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return base::Trim(part);
}

// A quality that can't be read wants nothing.
double QualityOf(std::string_view parameters) {
  while (!parameters.empty()) {
    std::string_view value = TakeUntil(parameters, ';');
    const std::string_view name = TakeUntil(value, '=');
    if (!base::EqualsIgnoreCase(name, "q")) continue;
    double quality = 0;
    const auto end = std::from_chars(value.data(), value.data() + value.size(), quality);
    return end.ec == std::errc() && quality >= 0 && quality <= 1 ? quality : 0;
  }
  return 1;
}

std::vector<Wanted> Parse(std::string_view header) {
  std::vector<Wanted> wanted;
  while (!header.empty()) {
    std::string_view item = TakeUntil(header, ',');
    const std::string_view value = TakeUntil(item, ';');
    if (!value.empty()) wanted.push_back({base::ToLowerAscii(value), QualityOf(item), wanted.size()});
  }
  return wanted;
}

// 3 for the type itself, 2 for "text/*", 1 for "*/*", 0 for another.
int Specificity(const std::string& range, const std::string& type) {
  if (range == type) return 3;
  if (range == "*/*") return 1;
  return range.ends_with("/*") && type.starts_with(range.substr(0, range.size() - 1)) ? 2 : 0;
}

}  // namespace

std::optional<size_t> ChooseMediaType(std::string_view accept, const std::vector<std::string>& offered) {
  const std::vector<Wanted> wanted = Parse(accept);
  if (wanted.empty()) return 0;
  std::optional<size_t> best;
  const Wanted* best_range = nullptr;
  for (size_t i = 0; i < offered.size(); ++i) {
    const Wanted* range = nullptr;
    int specificity = 0;
    for (const Wanted& candidate : wanted) {
      const int now = Specificity(candidate.value, offered[i]);
      if (now <= specificity) continue;
      specificity = now;
      range = &candidate;
    }
    if (range == nullptr || range->quality <= 0) continue;
    const bool better = best_range == nullptr || range->quality > best_range->quality ||
                        (range->quality == best_range->quality && range->position < best_range->position);
    if (!better) continue;
    best = i;
    best_range = range;
  }
  return best;
}

std::optional<size_t> ChooseCoding(std::string_view accept_encoding,
                                   const std::vector<std::string>& offered) {
  const std::vector<Wanted> wanted = Parse(accept_encoding);
  std::optional<size_t> best;
  double best_quality = 0;
  for (size_t i = 0; i < offered.size(); ++i) {
    double quality = 0;
    bool named = false;
    for (const Wanted& candidate : wanted) {
      if (candidate.value != offered[i] && (named || candidate.value != "*")) continue;
      named = candidate.value == offered[i];
      quality = candidate.quality;
    }
    if (quality <= best_quality) continue;
    best = i;
    best_quality = quality;
  }
  return best;
}

std::string MediaTypeOf(std::string_view content_type) {
  return base::ToLowerAscii(TakeUntil(content_type, ';'));
}

}  // namespace pondpilot::proxy::http
