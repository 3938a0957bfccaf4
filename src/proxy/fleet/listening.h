#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <optional>
#include <string>

namespace pondpilot::proxy::fleet {

// The endpoint that a gRPC target "ipv4:ADDRESS:PORT" or "ipv6:[ADDRESS]:PORT" names; nullopt for other
// targets.
std::optional<boost::asio::ip::tcp::endpoint> EndpointOf(const std::string& target);

// Returns when something accepts connections there, or after `timeout`. gRPC itself waits at least 100 ms
// between its attempts, which a worker that has just been started would be late by.
boost::asio::awaitable<void> AwaitListening(boost::asio::ip::tcp::endpoint endpoint,
                                            std::chrono::milliseconds timeout);

}  // namespace pondpilot::proxy::fleet
