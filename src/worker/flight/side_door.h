#pragma once

#include <arrow/flight/server.h>

#include <memory>
#include <string_view>
#include <vector>

namespace pondpilot::worker::flight {

// Another protocol than Flight SQL over the same Flight service. FlightService asks it first whether a call
// is its own.
class SideDoor {
 public:
  using Context = arrow::flight::ServerCallContext;
  using Descriptor = arrow::flight::FlightDescriptor;

  virtual ~SideDoor() = default;

  virtual bool OwnsAction(std::string_view type) const = 0;
  virtual bool OwnsTicket(std::string_view ticket) const = 0;
  // By its headers: of GetFlightInfo and DoExchange.
  virtual bool OwnsCall(const Context& context) const = 0;

  virtual arrow::Status DoAction(const Context& context, const arrow::flight::Action& action,
                                 std::unique_ptr<arrow::flight::ResultStream>* result) = 0;
  virtual arrow::Status DoGet(const Context& context, const arrow::flight::Ticket& ticket,
                              std::unique_ptr<arrow::flight::FlightDataStream>* stream) = 0;
  virtual arrow::Status GetFlightInfo(const Context& context, const Descriptor& descriptor,
                                      std::unique_ptr<arrow::flight::FlightInfo>* info) = 0;
  virtual arrow::Status DoExchange(const Context& context,
                                   std::unique_ptr<arrow::flight::FlightMessageReader> reader,
                                   std::unique_ptr<arrow::flight::FlightMessageWriter> writer) = 0;
  virtual void ListActions(std::vector<arrow::flight::ActionType>* actions) const = 0;
};

}  // namespace pondpilot::worker::flight
