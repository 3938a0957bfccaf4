#include "proxy/access/address_key.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

namespace pondpilot::proxy::access {

std::string AddressKey(const std::string& address_text) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(address_text, error);
  if (error || !address.is_v6()) return address_text;
  auto v6 = address.to_v6();
  if (v6.is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, v6).to_string();
  }
  auto bytes = v6.to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return boost::asio::ip::address_v6(bytes).to_string();
}

}  // namespace pondpilot::proxy::access
