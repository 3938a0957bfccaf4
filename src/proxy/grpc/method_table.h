#pragma once

#include <string_view>

namespace pondpilot::proxy::grpc {

// How messages flow in a method, which decides how it is relayed.
enum class Flow {
  kUnary,         // one request, one reply
  kServerStream,  // one request, many replies
  kBidi,          // many of both
  kHandshake,     // answered by the proxy itself
};

struct Method {
  std::string_view path;  // "/arrow.flight.protocol.FlightService/DoGet"
  std::string_view name;  // "DoGet", for logs and metric labels
  Flow flow;
  // Counts against the caller's rate limit. DoGet does not: it reads what a counted GetFlightInfo has made.
  bool counted;
};

// The allow-list of what is relayed (Flight.proto of Arrow 25, service FlightService); nullptr for anything
// else.
const Method* FindMethod(std::string_view path);

}  // namespace pondpilot::proxy::grpc
