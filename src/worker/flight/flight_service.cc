#include "worker/flight/flight_service.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "contract/names.h"
#include "worker/flight/status.h"
#include "worker/flight/tickets.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;

constexpr std::string_view kSqlTypes = "type.googleapis.com/arrow.flight.protocol.sql.";
// Every command of Flight SQL; those that SqlServer doesn't override are answered UNIMPLEMENTED by Arrow.
constexpr std::array<std::string_view, 17> kCommands = {"CommandGetSqlInfo",
                                                        "CommandGetXdbcTypeInfo",
                                                        "CommandGetCatalogs",
                                                        "CommandGetDbSchemas",
                                                        "CommandGetTables",
                                                        "CommandGetTableTypes",
                                                        "CommandGetPrimaryKeys",
                                                        "CommandGetExportedKeys",
                                                        "CommandGetImportedKeys",
                                                        "CommandGetCrossReference",
                                                        "CommandStatementQuery",
                                                        "CommandStatementSubstraitPlan",
                                                        "CommandStatementUpdate",
                                                        "CommandPreparedStatementQuery",
                                                        "CommandPreparedStatementUpdate",
                                                        "CommandStatementIngest",
                                                        "TicketStatementQuery"};

// The Flight SQL message that the bytes are; nullopt when they are none. SQL text can parse as a protobuf by
// accident, so the type must be named as well.
std::optional<google::protobuf::Any> FlightSqlMessage(const std::string& bytes) {
  google::protobuf::Any any;
  if (!any.ParseFromString(bytes) || !std::string_view(any.type_url()).starts_with(kSqlTypes)) {
    return std::nullopt;
  }
  return any;
}

std::optional<std::string> FlightSqlName(const std::string& bytes) {
  const auto message = FlightSqlMessage(bytes);
  if (!message) return std::nullopt;
  return message->type_url().substr(kSqlTypes.size());
}

// The texts of a message by the numbers of their fields (FlightSql.proto of Arrow 25); Arrow keeps its own
// classes for them to itself.
arrow::Result<std::array<std::string, 2>> FirstTwoFields(const std::string& message) {
  google::protobuf::UnknownFieldSet fields;
  if (!fields.ParseFromString(message)) return arrow::Status::Invalid("The command can't be read.");
  std::array<std::string, 2> texts;
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto& field = fields.field(i);
    const bool is_text = field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED;
    if (is_text && (field.number() == 1 || field.number() == 2))
      texts[static_cast<size_t>(field.number() - 1)] = field.length_delimited();
  }
  return texts;
}

arrow::Status CheckKnown(const std::string& name) {
  if (std::ranges::find(kCommands, name) != kCommands.end()) return arrow::Status::OK();
  return arrow::Status::NotImplemented("Flight SQL's ", base::IsUtf8(name) ? name.substr(0, 100) : "message",
                                       " is not known to this server.");
}

// The identifier of an airport transaction reads and writes tables, through the door for that.
arrow::Status CheckToken(const fl::ServerCallContext& context) {
  if (!context.incoming_headers().contains(contract::kByIdentifierHeader)) return arrow::Status::OK();
  return ToArrowStatus({base::ErrorCode::kUnauthenticated,
                        "No token was sent; the identifier of an airport transaction is not enough here.",
                        "",
                        {}});
}

arrow::Status CheckCommand(const fl::FlightDescriptor& descriptor) {
  if (descriptor.type == fl::FlightDescriptor::CMD) return arrow::Status::OK();
  return arrow::Status::Invalid(
      "A path names nothing here. Send SQL as the command: FlightDescriptor.for_command(b\"SELECT 42\").");
}

}  // namespace

arrow::Status FlightService::CheckServing() const {
  if (serving_.load()) return arrow::Status::OK();
  return ToArrowStatus({base::ErrorCode::kUnavailable, "This worker has no user yet.", "", {}});
}

template <typename Owns>
SideDoor* FlightService::DoorFor(const Owns& owns) const {
  const auto found = std::ranges::find_if(doors_, [&](const SideDoor* door) { return owns(*door); });
  return found == doors_.end() ? nullptr : *found;
}

arrow::Status FlightService::GetFlightInfo(const Context& context, const Descriptor& descriptor,
                                           std::unique_ptr<fl::FlightInfo>* info) {
  ARROW_RETURN_NOT_OK(CheckServing());
  if (SideDoor* door = DoorFor([&](const SideDoor& one) { return one.OwnsCall(context); }))
    return door->GetFlightInfo(context, descriptor, info);
  ARROW_RETURN_NOT_OK(CheckCommand(descriptor));
  if (const auto name = FlightSqlName(descriptor.cmd)) {
    ARROW_RETURN_NOT_OK(CheckKnown(*name));
    return sql_.GetFlightInfo(context, descriptor, info);
  }
  return queries_.GetInfo(context, {descriptor.cmd, "", nullptr}, descriptor, PlainTicket).Value(info);
}

arrow::Status FlightService::PollFlightInfo(const Context& context, const Descriptor& descriptor,
                                            std::unique_ptr<fl::PollInfo>* info) {
  ARROW_RETURN_NOT_OK(CheckServing());
  ARROW_RETURN_NOT_OK(CheckCommand(descriptor));
  if (PollDoor::IsPoll(descriptor.cmd)) return sql_.polls().Ask(context, descriptor.cmd, info);
  const auto message = FlightSqlMessage(descriptor.cmd);
  if (!message) return sql_.polls().Start(context, {descriptor.cmd, "", nullptr}, false, info);
  const std::string name = message->type_url().substr(kSqlTypes.size());
  if (name == "CommandStatementQuery") {
    ARROW_ASSIGN_OR_RAISE(const auto fields, FirstTwoFields(message->value()));
    return sql_.polls().Start(context, {fields[0], fields[1], nullptr}, true, info);
  }
  if (name == "CommandPreparedStatementQuery") {
    ARROW_ASSIGN_OR_RAISE(const auto fields, FirstTwoFields(message->value()));
    ARROW_ASSIGN_OR_RAISE(const auto statement, sql_.prepared().Get(context, fields[0]));
    return sql_.polls().Start(context, statement, true, info);
  }
  // The others run when their rows are fetched.
  *info = std::make_unique<fl::PollInfo>();
  (*info)->progress = 1.0;
  return GetFlightInfo(context, descriptor, &(*info)->info);
}

arrow::Status FlightService::GetSchema(const Context& context, const Descriptor& descriptor,
                                       std::unique_ptr<fl::SchemaResult>* schema) {
  ARROW_RETURN_NOT_OK(CheckServing());
  ARROW_RETURN_NOT_OK(CheckCommand(descriptor));
  if (const auto name = FlightSqlName(descriptor.cmd)) {
    ARROW_RETURN_NOT_OK(CheckKnown(*name));
    return sql_.GetSchema(context, descriptor, schema);
  }
  return queries_.GetSchema(context, {descriptor.cmd, "", nullptr}).Value(schema);
}

arrow::Status FlightService::DoGet(const Context& context, const fl::Ticket& ticket,
                                   std::unique_ptr<fl::FlightDataStream>* stream) {
  ARROW_RETURN_NOT_OK(CheckServing());
  if (SideDoor* door = DoorFor([&](const SideDoor& one) { return one.OwnsTicket(ticket.ticket); }))
    return door->DoGet(context, ticket, stream);
  ARROW_RETURN_NOT_OK(CheckToken(context));
  if (const auto handle = HandleOfPlainTicket(ticket.ticket))
    return queries_.Get(context, *handle).Value(stream);
  if (const auto name = FlightSqlName(ticket.ticket)) {
    ARROW_RETURN_NOT_OK(CheckKnown(*name));
    return sql_.DoGet(context, ticket, stream);
  }
  return arrow::Status::Invalid(
      "The ticket is none of this server's. Use the one that GetFlightInfo has returned.");
}

arrow::Status FlightService::DoPut(const Context& context, std::unique_ptr<fl::FlightMessageReader> reader,
                                   std::unique_ptr<fl::FlightMetadataWriter> writer) {
  ARROW_RETURN_NOT_OK(CheckServing());
  ARROW_RETURN_NOT_OK(CheckCommand(reader->descriptor()));
  if (const auto name = FlightSqlName(reader->descriptor().cmd)) {
    ARROW_RETURN_NOT_OK(CheckKnown(*name));
    return sql_.DoPut(context, std::move(reader), std::move(writer));
  }
  return arrow::Status::NotImplemented(
      "DoPut takes Flight SQL commands only; send plain SQL to GetFlightInfo.");
}

arrow::Status FlightService::DoExchange(const Context& context,
                                        std::unique_ptr<fl::FlightMessageReader> reader,
                                        std::unique_ptr<fl::FlightMessageWriter> writer) {
  ARROW_RETURN_NOT_OK(CheckServing());
  if (SideDoor* door = DoorFor([&](const SideDoor& one) { return one.OwnsCall(context); }))
    return door->DoExchange(context, std::move(reader), std::move(writer));
  return arrow::Status::NotImplemented(
      "DoExchange serves DuckDB's airport extension only; Flight SQL has no use for it.");
}

arrow::Status FlightService::DoAction(const Context& context, const fl::Action& action,
                                      std::unique_ptr<fl::ResultStream>* result) {
  ARROW_RETURN_NOT_OK(CheckServing());
  if (SideDoor* door = DoorFor([&](const SideDoor& one) { return one.OwnsAction(action.type); }))
    return door->DoAction(context, action, result);
  ARROW_RETURN_NOT_OK(CheckToken(context));
  return sql_.DoAction(context, action, result);
}

arrow::Status FlightService::ListActions(const Context& context, std::vector<fl::ActionType>* actions) {
  ARROW_RETURN_NOT_OK(CheckServing());
  ARROW_RETURN_NOT_OK(sql_.ListActions(context, actions));
  for (const SideDoor* door : doors_) door->ListActions(actions);
  return arrow::Status::OK();
}

}  // namespace pondpilot::worker::flight
