#pragma once

#include <span>
#include <string_view>

namespace pondpilot::proxy::grpc {

// How messages flow in a method, which decides how it is relayed.
enum class Flow {
  kUnary,         // one request, one reply
  kServerStream,  // one request, many replies
  kBidi,          // many of both
  kHandshake,     // answered by the proxy itself
};

enum class Early { kNone, kBrings, kTakes };

struct Method {
  std::string_view path;  // "/arrow.flight.protocol.FlightService/DoGet"
  std::string_view name;  // "DoGet", for logs and metric labels
  Flow flow;
  // Counts against the caller's rate limit. DoGet does not: it reads what a counted GetFlightInfo has made.
  bool counted;
  // Whether a small result comes along with the answer (EarlyResults), or this asks for a result that may
  // have.
  Early early = Early::kNone;
  // The identifier of an airport transaction (auth::CallIdentifiers) does in place of a token.
  bool by_identifier = false;
};

// All that are relayed.
std::span<const Method> Methods();

// The allow-list of what is relayed (Flight.proto of Arrow 25, service FlightService); nullptr for anything
// else.
const Method* FindMethod(std::string_view path);

}  // namespace pondpilot::proxy::grpc
