#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pondpilot::base {

// An IP network, or a single address.
class Network {
 public:
  // "192.0.2.0/24", "2001:db8::/32", "192.0.2.1"; bits behind the prefix are ignored.
  static std::optional<Network> Parse(std::string_view text);

  // An IPv4 address in IPv6's clothes (::ffff:192.0.2.1) counts as what it is.
  bool Contains(const boost::asio::ip::address& address) const;

 private:
  using V4 = boost::asio::ip::network_v4;
  using V6 = boost::asio::ip::network_v6;
  explicit Network(std::variant<V4, V6> network) : network_(network) {}

  std::variant<V4, V6> network_;
};

// Load balancers and reverse proxies whose X-Forwarded-For is believed. Immutable.
class TrustedProxies {
 public:
  TrustedProxies() = default;
  // Each as Network::Parse reads it; others are left out.
  explicit TrustedProxies(const std::vector<std::string>& networks);

  // The client's address: that of its connection, or, when that is a trusted proxy's, the last entry of
  // `forwarded_for` (RFC 7239 tells of its form: addresses apart by commas, each hop adds its peer at the
  // end) that is not itself a trusted proxy. What is no address ends the search: nothing before it can be
  // believed.
  std::string ClientOf(const std::string& peer, std::string_view forwarded_for) const;

  bool none() const { return networks_.empty(); }
  // Whether `peer`, an IP address, is one of them.
  bool Trusts(std::string_view peer) const;

 private:
  bool Trusts(const boost::asio::ip::address& address) const;

  std::vector<Network> networks_;
};

}  // namespace pondpilot::base
