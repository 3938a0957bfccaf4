// Server-sent events, and what both providers' decoders make of them.
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "proxy/ai/provider.h"
#include "proxy/ai/sse.h"

namespace {

using namespace pondpilot::proxy::ai;

std::vector<SseEvent> Parse(std::string_view text, size_t piece_bytes, bool& failed) {
  SseParser parser;
  std::vector<SseEvent> all;
  for (size_t at = 0; at < text.size() && !failed; at += piece_bytes) {
    auto events = parser.Feed(text.substr(at, piece_bytes));
    failed = !events.has_value();
    if (events) all.insert(all.end(), events->begin(), events->end());
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  bool failed = false;
  const auto whole = Parse(text, text.size() + 1, failed);
  // However it is cut, it says the same.
  for (const size_t piece_bytes : {size_t{1}, size_t{7}}) {
    bool failed_in_pieces = false;
    const auto pieces = Parse(text, piece_bytes, failed_in_pieces);
    FUZZ_CHECK(failed == failed_in_pieces);
    FUZZ_CHECK(failed || pieces.size() == whole.size());
    for (size_t i = 0; !failed && i < whole.size(); ++i) {
      FUZZ_CHECK(whole[i].name == pieces[i].name && whole[i].data == pieces[i].data);
    }
  }
  static const auto claude = MakeAnthropic("http://x", pondpilot::base::Secret("k"));
  static const auto openai = MakeOpenAi("http://x", pondpilot::base::Secret("k"));
  for (const ChatProvider* provider : {claude.get(), openai.get()}) {
    const auto decoder = provider->NewDecoder();
    for (const SseEvent& event : whole) {
      const auto step = decoder->Decode(event);
      if (!step) break;
      FUZZ_CHECK(decoder->end().usage.input_tokens >= 0 && decoder->end().usage.output_tokens >= 0);
      if (step->ended) break;
    }
  }
  return 0;
}
