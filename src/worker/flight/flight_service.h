#pragma once

#include <arrow/flight/server.h>

#include <atomic>
#include <memory>
#include <vector>

#include "worker/flight/side_door.h"
#include "worker/flight/sql_server.h"

namespace pondpilot::worker::flight {

// The worker's Flight server. A command that is a Flight SQL message goes to SqlServer; any other bytes are
// SQL text, as `FlightDescriptor.for_command(b"SELECT 42")` sends it.
class FlightService final : public arrow::flight::FlightServerBase {
 public:
  // `runner` must outlive it.
  explicit FlightService(session::StatementRunner& runner) : queries_(runner), sql_(queries_) {}

  // Before StartServing. `door` must outlive the service's calls.
  void AddDoor(SideDoor& door) { doors_.push_back(&door); }

  // Until this is called, every call is answered UNAVAILABLE: the worker has no user yet.
  void StartServing() { serving_.store(true); }

  using Context = arrow::flight::ServerCallContext;
  using Descriptor = arrow::flight::FlightDescriptor;

  arrow::Status GetFlightInfo(const Context& context, const Descriptor& descriptor,
                              std::unique_ptr<arrow::flight::FlightInfo>* info) override;
  // A statement that takes its time is told of, not waited for.
  arrow::Status PollFlightInfo(const Context& context, const Descriptor& descriptor,
                               std::unique_ptr<arrow::flight::PollInfo>* info) override;
  arrow::Status GetSchema(const Context& context, const Descriptor& descriptor,
                          std::unique_ptr<arrow::flight::SchemaResult>* schema) override;
  arrow::Status DoGet(const Context& context, const arrow::flight::Ticket& ticket,
                      std::unique_ptr<arrow::flight::FlightDataStream>* stream) override;
  arrow::Status DoPut(const Context& context, std::unique_ptr<arrow::flight::FlightMessageReader> reader,
                      std::unique_ptr<arrow::flight::FlightMetadataWriter> writer) override;
  arrow::Status DoExchange(const Context& context, std::unique_ptr<arrow::flight::FlightMessageReader> reader,
                           std::unique_ptr<arrow::flight::FlightMessageWriter> writer) override;
  arrow::Status DoAction(const Context& context, const arrow::flight::Action& action,
                         std::unique_ptr<arrow::flight::ResultStream>* result) override;
  arrow::Status ListActions(const Context& context, std::vector<arrow::flight::ActionType>* actions) override;

 private:
  arrow::Status CheckServing() const;

  // The first that says a call is its own; nullptr when none does.
  template <typename Owns>
  SideDoor* DoorFor(const Owns& owns) const;

  QueryDoor queries_;
  SqlServer sql_;
  std::vector<SideDoor*> doors_;
  std::atomic<bool> serving_{false};
};

}  // namespace pondpilot::worker::flight
