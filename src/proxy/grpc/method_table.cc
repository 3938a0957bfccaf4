#include "proxy/grpc/method_table.h"

#include <array>

namespace pondpilot::proxy::grpc {
namespace {

constexpr std::string_view kService = "/arrow.flight.protocol.FlightService/";

constexpr std::array<Method, 10> kMethods = {{
    {"/arrow.flight.protocol.FlightService/GetFlightInfo", "GetFlightInfo", Flow::kUnary, true,
     Early::kBrings},
    {"/arrow.flight.protocol.FlightService/DoGet", "DoGet", Flow::kServerStream, false, Early::kTakes, true},
    {"/arrow.flight.protocol.FlightService/DoAction", "DoAction", Flow::kServerStream, true, Early::kNone,
     true},
    {"/arrow.flight.protocol.FlightService/DoPut", "DoPut", Flow::kBidi, true},
    {"/arrow.flight.protocol.FlightService/GetSchema", "GetSchema", Flow::kUnary, true},
    {"/arrow.flight.protocol.FlightService/PollFlightInfo", "PollFlightInfo", Flow::kUnary, true},
    {"/arrow.flight.protocol.FlightService/DoExchange", "DoExchange", Flow::kBidi, true, Early::kNone, true},
    {"/arrow.flight.protocol.FlightService/ListFlights", "ListFlights", Flow::kServerStream, true},
    {"/arrow.flight.protocol.FlightService/ListActions", "ListActions", Flow::kServerStream, true},
    {"/arrow.flight.protocol.FlightService/Handshake", "Handshake", Flow::kHandshake, true},
}};

}  // namespace

std::span<const Method> Methods() { return kMethods; }

const Method* FindMethod(std::string_view path) {
  if (!path.starts_with(kService)) return nullptr;
  for (const Method& method : kMethods) {
    if (method.path == path) return &method;
  }
  return nullptr;
}

}  // namespace pondpilot::proxy::grpc
