#include "proxy/ai/sse.h"

namespace pondpilot::proxy::ai {
namespace {
constexpr size_t kMaxEventBytes = 1 << 20;
}  // namespace

base::Result<std::vector<SseEvent>> SseParser::Feed(std::string_view piece) {
  std::vector<SseEvent> out;
  while (!piece.empty()) {
    if (after_return_ && piece.front() == '\n') piece.remove_prefix(1);
    after_return_ = false;
    const size_t end = piece.find_first_of("\r\n");
    line_.append(piece.substr(0, end));
    if (line_.size() + event_.data.size() > kMaxEventBytes) {
      return base::Fail(base::ErrorCode::kUnavailable, "The AI provider sent an event that is too large.");
    }
    if (end == std::string_view::npos) break;
    after_return_ = piece[end] == '\r';
    piece.remove_prefix(end + 1);
    EndLine(out);
  }
  return out;
}

void SseParser::EndLine(std::vector<SseEvent>& out) {
  if (line_.empty()) {
    if (has_data_) out.push_back(std::move(event_));
    event_ = {};
    has_data_ = false;
    return;
  }
  const size_t colon = line_.find(':');
  const std::string_view line = line_;
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    event_.name = value;
  } else if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  }
  line_.clear();
}

std::string FormatSse(std::string_view name, std::string_view data) {
  std::string out = "event: ";
  out.append(name).append("\ndata: ").append(data).append("\n\n");
  return out;
}

}  // namespace pondpilot::proxy::ai
