#include "proxy/http/message.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <format>
#include <random>

#include "base/secret.h"
#include "telemetry/trace_context.h"

namespace pondpilot::proxy::http {

namespace {

// Says which request is meant and guards nothing: a generator that is seeded well does, and costs no request
// a system call, as OpenSSL's own asks each time which process it is in.
std::string NewRequestId() {
  thread_local std::mt19937_64 generator([] {
    uint64_t seed = 0;
    const std::string random = base::RandomHex(sizeof(seed));
    std::from_chars(random.data(), random.data() + random.size(), seed, 16);
    return seed;
  }());
  return std::format("{:016x}", generator());
}

}  // namespace

std::string_view Request::Header(std::string_view name) const {
  const auto found = headers.find({name.data(), name.size()});
  if (found == headers.end()) return {};
  return {found->value().data(), found->value().size()};
}

std::string Request::TraceParent() const {
  if (span) return span->TraceParent();
  const std::string_view sent = Header(telemetry::kTraceParent);
  return telemetry::TraceIdOf(sent).empty() ? std::string() : std::string(sent);
}

std::string Request::TraceId() const {
  return span ? span->TraceId() : std::string(telemetry::TraceIdOf(Header(telemetry::kTraceParent)));
}

std::string_view MethodLabel(std::string_view method) {
  static constexpr std::array<std::string_view, 9> kMethods = {
      "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "TRACE", "PATCH", "OPTIONS"};
  const auto found = std::ranges::find(kMethods, method);
  return found == kMethods.end() ? kOtherMethod : *found;
}

std::string RequestIdFor(std::string_view sent) {
  const bool fit = !sent.empty() && sent.size() <= 64 && std::ranges::all_of(sent, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  return fit ? std::string(sent) : NewRequestId();
}

}  // namespace pondpilot::proxy::http
