#include "worker/flight/tickets.h"

#include <arrow/flight/sql/server.h>

#include <string_view>

namespace pondpilot::worker::flight {
namespace {

// No serialised protobuf message begins like this.
constexpr std::string_view kPlainTicket = "pondpilot:result:";

}  // namespace

arrow::Result<std::string> PlainTicket(const std::string& handle) {
  return std::string(kPlainTicket) + handle;
}

std::optional<std::string> HandleOfPlainTicket(const std::string& ticket) {
  if (!ticket.starts_with(kPlainTicket)) return std::nullopt;
  return ticket.substr(kPlainTicket.size());
}

std::optional<std::string> HandleOfTicket(const std::string& ticket) {
  if (auto plain = HandleOfPlainTicket(ticket)) return plain;
  auto parsed = arrow::flight::sql::StatementQueryTicket::Deserialize(ticket);
  if (!parsed.ok()) return std::nullopt;
  return std::move(parsed->statement_handle);
}

}  // namespace pondpilot::worker::flight
