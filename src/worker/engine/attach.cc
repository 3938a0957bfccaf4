#include "worker/engine/attach.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/secret.h"
#include "base/text.h"
#include "worker/engine/errors.h"
#include "worker/engine/reachability.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

// Seconds. libpq waits twice as long when a name has two addresses.
constexpr char kConnectTimeout[] = "3";

// PostgreSQL (libpq): a host that falls silent is noticed within seconds, also in the middle of a scan.
constexpr char kPostgresKeepalive[] =
    " keepalives_idle=2 keepalives_interval=1 keepalives_count=2 tcp_user_timeout=5000";

struct Cause {
  std::string_view found;  // in the driver's text, lower case
  std::string_view says;
  bool answered = true;  // did a server speak to us at all?
};

// The drivers' texts name hosts, addresses and users; these sentences don't.
constexpr std::array<Cause, 21> kCauses = {{
    {"password authentication failed", "the server refused the user or the password"},
    {"access denied", "the server refused the user or the password"},
    {"no pg_hba.conf entry", "the server does not allow connections from this host (pg_hba.conf)"},
    {"role \"", "the server does not know the user"},
    {"database \"", "the server has no database of this name"},
    {"unknown database", "the server has no database of this name"},
    {"could not translate host name", "its host name is not known here"},
    {"unknown mysql server host", "its host name is not known here"},
    {"unknown server host", "its host name is not known here"},
    {"connection refused", "nothing listens at its address", false},
    {"(110)", "its host does not answer", false},
    {"can't connect to", "nothing listens at its address", false},
    {"timeout expired", "its host does not answer", false},
    {"timed out", "its host does not answer", false},
    // MariaDB's client, when the greeting does not come in time (ETIMEDOUT) or the connection ends before it.
    {"system error: 110", "its host does not answer", false},
    // What errors.cc makes of several of the drivers' texts.
    {"ended the connection or fell silent", "its host does not answer", false},
    {"lost connection", "what listens at its address ends the connection", false},
    {"ssl", "the encrypted connection (SSL) could not be made as configured"},
    {"too many", "the server has no free connection"},
    {"starting up", "the server is starting up"},
    {"shutting down", "the server is shutting down"},
}};

bool MeansTheWorkerItself(const std::string& host) {
  return base::EqualsIgnoreCase(host, "localhost") || host.starts_with("127.") || host == "::1";
}

std::string WithHint(const Attachment& attachment, std::string reason) {
  if (!MeansTheWorkerItself(attachment.server.host)) return reason;
  return reason +
         " (localhost means the worker's own container: use host.docker.internal for the machine that runs "
         "Docker, or the name of a service on the same network)";
}

std::string Reason(const Attachment& attachment, const std::string& driver_text) {
  const std::string text = base::ToLowerAscii(driver_text);
  std::string reason = "the connection could not be made";
  bool answered = false;
  for (const Cause& cause : kCauses) {
    if (text.find(cause.found) == std::string::npos) continue;
    reason = cause.says;
    answered = cause.answered;
    break;
  }
  return answered ? reason : WithHint(attachment, std::move(reason));
}

// Seconds, as the configuration gives them or by default.
std::string ConnectTimeout(const ServerTarget& server) {
  const auto given =
      std::ranges::find(server.options, "connect_timeout", [](const auto& o) { return o.first; });
  return given == server.options.end() ? kConnectTimeout : given->second;
}

std::string Quoted(std::string_view value) {
  // libpq's connection strings: single quotes, backslash escapes.
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

Result<void> Run(duckdb::Connection& connection, const std::string& sql) {
  const auto result = connection.Query(sql);
  if (result->HasError()) return std::unexpected(ToError(result->GetErrorObject()));
  return {};
}

Result<void> AttachServer(duckdb::Connection& connection, const Attachment& attachment) {
  const bool postgres = attachment.kind == Attachment::Kind::kPostgres;
  const char* type = postgres ? "postgres" : "mysql";
  // Not guessable from SQL, and gone before any SQL of the tenant runs.
  const std::string secret = "attach_" + base::RandomHex(8);
  const ServerTarget& server = attachment.server;
  const base::Secret create(
      "CREATE SECRET " + secret + " (TYPE " + type + ", HOST " + SqlLiteral(server.host) + ", PORT " +
      std::to_string(server.port) + ", DATABASE " + SqlLiteral(server.database) + ", USER " +
      SqlLiteral(server.user) + ", PASSWORD " + SqlLiteral(server.password.Reveal()) + ")");
  if (const auto created = Run(connection, create.Reveal()); !created) {
    return Fail(ErrorCode::kInternal, "its credentials could not be prepared", created.error().message);
  }
  std::string options = "connect_timeout=" + ConnectTimeout(server);
  for (const auto& [name, value] : server.options) {
    if (name != "connect_timeout") options += " " + name + "=" + (postgres ? Quoted(value) : value);
  }
  if (postgres) options += kPostgresKeepalive;
  const auto attached =
      Run(connection, "ATTACH " + SqlLiteral(options) + " AS " + SqlIdentifier(attachment.alias) + " (TYPE " +
                          type + ", SECRET " + secret + (attachment.read_only ? ", READ_ONLY" : "") + ")");
  const auto dropped = Run(connection, "DROP SECRET " + secret);
  if (!dropped)
    return Fail(ErrorCode::kInternal, "its credentials could not be removed", dropped.error().message);
  if (!attached) {
    return Fail(ErrorCode::kUnavailable, Reason(attachment, attached.error().message),
                attached.error().message);
  }
  return {};
}

Result<void> AttachSqlite(duckdb::Connection& connection, const Attachment& attachment) {
  struct stat info{};
  if (::stat(attachment.sqlite_path.c_str(), &info) != 0) {
    return Fail(ErrorCode::kUnavailable,
                "the file " + attachment.sqlite_path +
                    " does not exist in the worker: mount it into the proxy's container at "
                    "this path, and the proxy passes it on");
  }
  if (!S_ISREG(info.st_mode)) {
    return Fail(ErrorCode::kUnavailable, attachment.sqlite_path + " is not a file");
  }
  const auto attached = Run(connection, "ATTACH " + SqlLiteral(attachment.sqlite_path) + " AS " +
                                            SqlIdentifier(attachment.alias) + " (TYPE sqlite" +
                                            (attachment.read_only ? ", READ_ONLY" : "") + ")");
  if (!attached) {
    return Fail(ErrorCode::kUnavailable, "the file can't be opened as a SQLite database",
                attached.error().message);
  }
  // SQLite opens lazily: a file of another kind shows only when it is read.
  const auto read = Run(connection, "SELECT count(*) FROM duckdb_tables() WHERE database_name = " +
                                        SqlLiteral(attachment.alias));
  if (!read) {
    const auto undone = Run(connection, "DETACH " + SqlIdentifier(attachment.alias));
    return Fail(ErrorCode::kUnavailable, "the file can't be read as a SQLite database", read.error().message);
  }
  return {};
}

}  // namespace

std::string SqlLiteral(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c;
  }
  return out + "'";
}

std::string SqlIdentifier(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

Result<void> CheckReachable(const Attachment& attachment) {
  if (attachment.kind != Attachment::Kind::kPostgres) return {};
  const ServerTarget& server = attachment.server;
  int wait = 0;  // seconds
  const std::string text = ConnectTimeout(server);
  std::from_chars(text.data(), text.data() + text.size(), wait);
  const auto answers =
      CheckPostgresAnswers(server.host, server.port, std::chrono::seconds(std::clamp(wait, 1, 60)));
  if (answers) return {};
  return Fail(ErrorCode::kUnavailable, WithHint(attachment, answers.error().message));
}

Result<void> AttachDatabase(duckdb::Connection& connection, const Attachment& attachment) {
  try {
    switch (attachment.kind) {
      case Attachment::Kind::kPostgres:
      case Attachment::Kind::kMysql:
        return AttachServer(connection, attachment);
      case Attachment::Kind::kSqlite:
        return AttachSqlite(connection, attachment);
      case Attachment::Kind::kUnavailable:
        break;
    }
  } catch (const std::exception& thrown) {
    return Fail(ErrorCode::kInternal, "the connection could not be made", thrown.what());
  }
  return Fail(ErrorCode::kUnavailable, attachment.unavailable_reason);
}

}  // namespace pondpilot::worker::engine
