#pragma once

#include <arrow/result.h>

#include <optional>
#include <string>

namespace pondpilot::worker::flight {

// A ticket's bytes hold the handle of its result: as Flight SQL's message for those that came as Flight SQL,
// behind a mark for plain SQL.
arrow::Result<std::string> PlainTicket(const std::string& handle);
// nullopt when the bytes are no plain ticket.
std::optional<std::string> HandleOfPlainTicket(const std::string& ticket);
// Of either kind.
std::optional<std::string> HandleOfTicket(const std::string& ticket);

}  // namespace pondpilot::worker::flight
