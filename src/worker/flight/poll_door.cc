#include "worker/flight/poll_door.h"

#include <arrow/flight/sql/server.h>

#include <chrono>
#include <utility>

#include "worker/flight/caller.h"
#include "worker/flight/status.h"
#include "worker/flight/tickets.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;
using session::PollStore;

// "p" for plain SQL or "s" for Flight SQL follows, which decides about the form of the ticket, and the name.
constexpr std::string_view kPoll = "pondpilot:poll:";

// How long a poll waits for the statement's end: a client that asks again at once must not keep us busy.
constexpr std::chrono::milliseconds kFirstWait(200);
constexpr std::chrono::milliseconds kFurtherWait(1000);

fl::Timestamp In(std::chrono::seconds time) {
  return std::chrono::time_point_cast<fl::Timestamp::duration>(std::chrono::system_clock::now() + time);
}

arrow::Status AskFor(QueryDoor& queries, const fl::ServerCallContext& context, const std::string& command,
                     std::chrono::milliseconds wait, std::unique_ptr<fl::PollInfo>* info) {
  const bool flight_sql = command[kPoll.size()] == 's';
  const std::string name = command.substr(kPoll.size() + 1);
  auto answer = queries.runner().polls().Await(name, wait, [&context] { return context.is_cancelled(); });
  if (!answer) return ToArrowStatus(answer.error());
  const auto descriptor = fl::FlightDescriptor::Command(command);
  *info = std::make_unique<fl::PollInfo>();
  if (!answer->outcome) {
    // The columns are not known before the statement has begun to yield rows.
    ARROW_ASSIGN_OR_RAISE(auto empty,
                          fl::FlightInfo::Make(*arrow::schema({}), descriptor, {}, -1, -1, false, command));
    (*info)->info = std::make_unique<fl::FlightInfo>(std::move(empty));
    (*info)->descriptor = descriptor;
    if (answer->progress >= 0) (*info)->progress = std::min(answer->progress, 1.0);
    (*info)->expiration_time = In(PollStore::kLife);
    return arrow::Status::OK();
  }
  if (!*answer->outcome) return ToArrowStatus(answer->outcome->error());
  const QueryDoor::MakeTicket make_ticket = flight_sql
                                                ? QueryDoor::MakeTicket(fl::sql::CreateStatementQueryTicket)
                                                : QueryDoor::MakeTicket(PlainTicket);
  ARROW_ASSIGN_OR_RAISE((*info)->info,
                        queries.InfoOf(context, std::move(**answer->outcome), descriptor, make_ticket));
  (*info)->progress = 1.0;
  return arrow::Status::OK();
}

}  // namespace

bool PollDoor::IsPoll(const std::string& command) {
  return command.starts_with(kPoll) && command.size() > kPoll.size();
}

arrow::Status PollDoor::Start(const Context& context, const session::Statement& statement, bool flight_sql,
                              std::unique_ptr<fl::PollInfo>* info) {
  session::Caller caller = CallerOf(context, statement.transaction);
  auto name = queries_.runner().polls().Start(
      [&queries = queries_, caller = std::move(caller), statement](
          const session::CallWatch::Gone& gone,
          session::StatementProgress& progress) mutable -> PollStore::Outcome {
        caller.gone = gone;  // the call that started it has ended by then
        caller.progress = &progress;
        return queries.RunFor(caller, statement);
      });
  if (!name) return ToArrowStatus(name.error());
  const std::string command = std::string(kPoll) + (flight_sql ? "s" : "p") + *name;
  return AskFor(queries_, context, command, kFirstWait, info);
}

arrow::Status PollDoor::Ask(const Context& context, const std::string& command,
                            std::unique_ptr<fl::PollInfo>* info) {
  return AskFor(queries_, context, command, kFurtherWait, info);
}

arrow::Result<fl::CancelFlightInfoResult> PollDoor::Cancel(const fl::CancelFlightInfoRequest& request) {
  if (request.info == nullptr) return arrow::Status::Invalid("CancelFlightInfo needs the info to cancel.");
  bool stopped = false;
  const std::string& command = request.info->app_metadata();
  if (IsPoll(command)) {
    stopped = queries_.runner().polls().Cancel(command.substr(kPoll.size() + 1)).has_value();
  }
  for (const fl::FlightEndpoint& endpoint : request.info->endpoints()) {
    const auto handle = HandleOfTicket(endpoint.ticket.ticket);
    if (handle && queries_.runner().tickets().Cancel(*handle)) stopped = true;
  }
  // What is unknown, has ended or was read can't be stopped.
  return fl::CancelFlightInfoResult{stopped ? fl::CancelStatus::kCancelled
                                            : fl::CancelStatus::kNotCancellable};
}

arrow::Result<fl::FlightEndpoint> PollDoor::Renew(const fl::RenewFlightEndpointRequest& request) {
  const auto handle = HandleOfTicket(request.endpoint.ticket.ticket);
  if (!handle) {
    return arrow::Status::Invalid(
        "The ticket is none of this server's. Use an endpoint that GetFlightInfo has returned.");
  }
  const auto renewed = queries_.runner().tickets().Renew(*handle);
  if (!renewed) return ToArrowStatus(renewed.error());
  fl::FlightEndpoint endpoint = request.endpoint;
  endpoint.expiration_time = In(session::TicketStore::kLife);
  return endpoint;
}

}  // namespace pondpilot::worker::flight
