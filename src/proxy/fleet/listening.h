#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "proxy/launch/worker_socket.h"

namespace pondpilot::proxy::fleet {

// The endpoint that a gRPC target "ipv4:ADDRESS:PORT" or "ipv6:[ADDRESS]:PORT" names; nullopt for other
// targets.
std::optional<boost::asio::ip::tcp::endpoint> EndpointOf(const std::string& target);

// Where a worker may be found.
struct Doors {
  std::optional<boost::asio::ip::tcp::endpoint> address;
  std::shared_ptr<launch::WorkerSocket> socket;  // null: none
};

enum class Door { kNone, kAddress, kSocket };

// Returns kSocket when the worker has taken the socket, kAddress when something accepts connections there,
// whichever comes first, or kNone after `timeout`. gRPC itself waits at least 100 ms between its attempts,
// which a worker that has just been started would be late by.
boost::asio::awaitable<Door> AwaitListening(Doors doors, std::chrono::milliseconds timeout);

}  // namespace pondpilot::proxy::fleet
