#include "proxy/grpc/metadata.h"

#include <algorithm>
#include <array>

#include "base/secret.h"
#include "contract/names.h"

namespace pondpilot::proxy::grpc {
namespace {

// Made by gRPC itself on each hop.
bool BelongsToTheHop(std::string_view key) {
  constexpr std::array<std::string_view, 5> kOfTheHop = {"te", "content-type", "user-agent", "host",
                                                         "accept-encoding"};
  return key.starts_with("grpc-") || key.starts_with(":") ||
         std::ranges::find(kOfTheHop, key) != kOfTheHop.end();
}

}  // namespace

std::string_view SingleValue(const MetadataView& metadata, const char* key, bool* repeated) {
  const auto [first, last] = metadata.equal_range(key);
  *repeated = first != last && std::next(first) != last;
  if (first == last) return {};
  return {first->second.data(), first->second.size()};
}

std::string JoinedValues(const MetadataView& metadata, const char* key) {
  std::string joined;
  const auto [first, last] = metadata.equal_range(key);
  for (auto header = first; header != last; ++header) {
    if (!joined.empty()) joined += ',';
    joined.append(header->second.data(), header->second.size());
  }
  return joined;
}

bool PassesToWorker(std::string_view key) {
  return !BelongsToTheHop(key) && key != "authorization" && key != contract::kAirportTransactionHeader &&
         key != contract::kRequestIdHeader && !key.starts_with(contract::kInternalPrefix);
}

bool PassesToClient(std::string_view key) {
  return !BelongsToTheHop(key) && !key.starts_with(contract::kInternalPrefix);
}

std::string RequestId(const MetadataView& metadata) {
  bool repeated = false;
  const std::string_view sent = SingleValue(metadata, contract::kRequestIdHeader, &repeated);
  const bool fit = !repeated && !sent.empty() && sent.size() <= 64 && std::ranges::all_of(sent, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  return fit ? std::string(sent) : base::RandomHex(8);
}

}  // namespace pondpilot::proxy::grpc
