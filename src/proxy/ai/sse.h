#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace pondpilot::proxy::ai {

struct SseEvent {
  std::string name;  // empty when the stream names none
  std::string data;
};

// Reads server-sent events (HTML standard, section 9.2) from pieces of any size.
class SseParser {
 public:
  // The events that `piece` completes. kUnavailable when one event is larger than is reasonable; the parser
  // is of no use after that.
  base::Result<std::vector<SseEvent>> Feed(std::string_view piece);

 private:
  void EndLine(std::vector<SseEvent>& out);

  std::string line_;
  SseEvent event_;
  bool has_data_ = false;
  bool after_return_ = false;  // a "\n" now belongs to the "\r" before it
};

// One event as it goes over the wire. `data` must be one line, as serialised JSON is.
std::string FormatSse(std::string_view name, std::string_view data);

}  // namespace pondpilot::proxy::ai
