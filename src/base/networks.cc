#include "base/networks.h"

#include <algorithm>

#include "base/text.h"

namespace pondpilot::base {
namespace {

namespace ip = boost::asio::ip;

std::optional<ip::address> ParseAddress(std::string_view text) {
  boost::system::error_code error;
  ip::address address = ip::make_address(text, error);
  if (error) return std::nullopt;
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = ip::make_address_v4(ip::v4_mapped, address.to_v6());
  }
  return address;
}

// One entry of X-Forwarded-For. Some proxies add the port: "192.0.2.1:4711", "[2001:db8::1]:4711".
std::optional<ip::address> ParseHop(std::string_view text) {
  text = Trim(text);
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    return end == text.npos ? std::nullopt : ParseAddress(text.substr(1, end - 1));
  }
  const size_t colon = text.find(':');
  if (colon != text.npos && text.find(':', colon + 1) == text.npos) text = text.substr(0, colon);
  return ParseAddress(text);
}

}  // namespace

std::optional<Network> Network::Parse(std::string_view text) {
  boost::system::error_code error;
  if (!text.contains('/')) {
    const auto address = ParseAddress(text);
    if (!address) return std::nullopt;
    if (address->is_v4()) return Network(V4(address->to_v4(), 32));
    return Network(V6(address->to_v6(), 128));
  }
  const std::string owned(text);
  const V4 v4 = ip::make_network_v4(owned, error);
  if (!error) return Network(v4.canonical());
  error = {};
  const V6 v6 = ip::make_network_v6(owned, error);
  if (!error) return Network(v6.canonical());
  return std::nullopt;
}

bool Network::Contains(const ip::address& address) const {
  if (const V4* v4 = std::get_if<V4>(&network_)) {
    return address.is_v4() && V4(address.to_v4(), v4->prefix_length()).canonical() == *v4;
  }
  const V6& v6 = std::get<V6>(network_);
  return address.is_v6() && V6(address.to_v6(), v6.prefix_length()).canonical() == v6;
}

TrustedProxies::TrustedProxies(const std::vector<std::string>& networks) {
  for (const std::string& text : networks) {
    if (const auto network = Network::Parse(text)) networks_.push_back(*network);
  }
}

bool TrustedProxies::Trusts(const ip::address& address) const {
  return std::ranges::any_of(networks_, [&](const Network& network) { return network.Contains(address); });
}

bool TrustedProxies::Trusts(std::string_view peer) const {
  const auto address = networks_.empty() ? std::nullopt : ParseAddress(peer);
  return address && Trusts(*address);
}

std::string TrustedProxies::ClientOf(const std::string& peer, std::string_view forwarded_for) const {
  auto client = networks_.empty() ? std::nullopt : ParseAddress(peer);
  if (!client) return peer;
  while (Trusts(*client) && !forwarded_for.empty()) {
    const size_t comma = forwarded_for.rfind(',');
    const auto hop = ParseHop(comma == forwarded_for.npos ? forwarded_for : forwarded_for.substr(comma + 1));
    if (!hop) break;
    client = hop;
    forwarded_for = comma == forwarded_for.npos ? std::string_view() : forwarded_for.substr(0, comma);
  }
  return client->to_string();
}

}  // namespace pondpilot::base
