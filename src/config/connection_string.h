#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/config.h"

// Connection strings of attached databases. Every error is a sentence about the part that is wrong and how it
// has to look; it never holds any of the string's own text, because in a malformed one any part may be the
// password.
namespace pondpilot::config {

// One option that the query part may hold. `name` is how it is handed on; "-" for "_" is accepted too.
struct ConnectionOption {
  std::string_view name;
  std::string_view allowed;  // for people
  // The value as it is handed on (choices in lower case), or nullopt for one that is not allowed.
  std::optional<std::string> (*accept)(std::string_view value);
};

// The closed list for a server kind; empty for SQLite.
std::span<const ConnectionOption> ConnectionOptions(DatabaseKind kind);

// kPostgres: postgresql:// or postgres://, port 5432 unless given. kMysql: mysql:// or mariadb://, port 3306.
// user[:password]@host[:port]/database[?option=value&…], percent-decoded; host is a name, an IPv4 address or
// a bracketed IPv6 address (kept without brackets). User, host and database are required, the password is
// not.
std::expected<ServerTarget, std::string> ParseServerTarget(DatabaseKind kind, std::string_view text);

// An absolute path, or sqlite:// before one.
std::expected<std::string, std::string> ParseSqlitePath(std::string_view text);

// True for names and addresses that mean the machine (or container) itself.
bool IsLoopbackHost(std::string_view host);

}  // namespace pondpilot::config
