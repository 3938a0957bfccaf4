#pragma once

#include <string>
#include <string_view>

namespace pondpilot::proxy::grpc {

// Names a client's connection to the worker. `peer` is its address as gRPC gives it, unique while the
// connection lives; a key of this process makes the name say nothing and lets nobody guess it. Thread-safe;
// what a thread has named lately it remembers.
std::string ConnectionName(const std::string& peer);

// The IP address of a peer as gRPC gives it: of "ipv4:192.0.2.1:4711" and "ipv6:%5B2001:db8::1%5D:4711" what
// they hold between scheme and port. Other texts stay as they are.
std::string AddressOfPeer(std::string_view peer);

}  // namespace pondpilot::proxy::grpc
