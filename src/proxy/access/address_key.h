#pragma once

#include <string>

namespace pondpilot::proxy::access {

// What is limited of an address: an IPv4 address, or the /64 network of an IPv6 address, as that is what one
// customer gets. Other texts stay as they are.
std::string AddressKey(const std::string& address);

}  // namespace pondpilot::proxy::access
