#include "config/connection_string.h"

#include <algorithm>
#include <array>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <vector>

#include "base/text.h"
#include "config/values.h"

namespace pondpilot::config {
namespace {

using Fail = std::unexpected<std::string>;

bool IsCleanText(std::string_view text) {
  return base::IsUtf8(text) &&
         std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

template <const auto& choices>
std::optional<std::string> OneOf(std::string_view value) {
  std::string lower = base::ToLowerAscii(value);
  if (!std::ranges::contains(choices, std::string_view(lower))) return std::nullopt;
  return lower;
}

std::optional<std::string> AcceptSeconds(std::string_view value) {
  const auto seconds = ParseInteger(value);
  if (!seconds || *seconds < 1 || *seconds > 60) return std::nullopt;
  return std::string(value);
}

std::optional<std::string> AcceptLabel(std::string_view value) {
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  if (value.empty() || value.size() > 63 || value.find_first_not_of(kAllowed) != std::string_view::npos) {
    return std::nullopt;
  }
  return std::string(value);
}

// A file as the worker sees it. Quotes and backslashes would need escaping further on; no real path needs
// them.
std::optional<std::string> AcceptPath(std::string_view value) {
  if (!value.starts_with('/') || value.size() > 1024 ||
      value.find_first_of("'\"\\") != std::string_view::npos) {
    return std::nullopt;
  }
  return std::string(value);
}

std::optional<std::string> AcceptRootCertificate(std::string_view value) {
  return value == "system" ? std::string(value) : AcceptPath(value);
}

constexpr std::array<std::string_view, 6> kPostgresTls = {"disable", "allow",     "prefer",
                                                          "require", "verify-ca", "verify-full"};
constexpr std::array<std::string_view, 3> kChannelBinding = {"disable", "prefer", "require"};
constexpr std::array<std::string_view, 6> kSessionAttributes = {"any",     "read-write", "read-only",
                                                                "primary", "standby",    "prefer-standby"};
constexpr std::array<std::string_view, 5> kMysqlTls = {"disabled", "preferred", "required", "verify_ca",
                                                       "verify_identity"};

constexpr ConnectionOption kPostgresOptions[] = {
    {"sslmode", "disable, allow, prefer, require, verify-ca or verify-full", OneOf<kPostgresTls>},
    {"sslrootcert", "\"system\" or the absolute path of a certificate file in the worker",
     AcceptRootCertificate},
    {"channel_binding", "disable, prefer or require", OneOf<kChannelBinding>},
    {"application_name", "1 to 63 letters, digits, \"_\", \".\" or \"-\"", AcceptLabel},
    {"connect_timeout", "seconds, from 1 to 60", AcceptSeconds},
    {"target_session_attrs", "any, read-write, read-only, primary, standby or prefer-standby",
     OneOf<kSessionAttributes>},
};

constexpr ConnectionOption kMysqlOptions[] = {
    {"ssl_mode", "disabled, preferred, required, verify_ca or verify_identity", OneOf<kMysqlTls>},
    {"ssl_ca", "the absolute path of a certificate file in the worker", AcceptPath},
    {"connect_timeout", "seconds, from 1 to 60", AcceptSeconds},
};

struct KindFacts {
  std::string_view example;
  std::array<std::string_view, 2> schemes;
  uint16_t default_port;
};

const KindFacts& Facts(DatabaseKind kind) {
  static constexpr KindFacts kPostgres = {
      "postgresql://user:password@host:5432/database", {"postgresql", "postgres"}, 5432};
  static constexpr KindFacts kMysql = {
      "mysql://user:password@host:3306/database", {"mysql", "mariadb"}, 3306};
  return kind == DatabaseKind::kMysql ? kMysql : kPostgres;
}

std::string OptionNames(DatabaseKind kind) {
  std::string names;
  for (const ConnectionOption& option : ConnectionOptions(kind)) {
    names += (names.empty() ? "" : ", ") + std::string(option.name);
  }
  return names;
}

// Which type the scheme of `text` speaks of, when it isn't `kind`.
std::string WrongScheme(DatabaseKind kind, std::string_view text) {
  std::string sentence = "it must look like " + std::string(Facts(kind).example) + ".";
  const std::string scheme = base::ToLowerAscii(text.substr(0, text.find(':')));
  if (scheme == "postgres" || scheme == "postgresql")
    sentence += " For a PostgreSQL database set type: postgres.";
  if (scheme == "mysql" || scheme == "mariadb") sentence += " For a MySQL database set type: mysql.";
  if (scheme == "sqlite" || text.starts_with('/')) sentence += " For a SQLite file set type: sqlite.";
  if (text.contains("host=")) sentence += " The form with host=… user=… is not supported; write it as a URL.";
  return sentence;
}

std::expected<std::string, std::string> ReadHost(const boost::urls::url_view& url) {
  if (url.host_type() == boost::urls::host_type::ipv6) {
    if (url.encoded_host().contains('%'))
      return Fail("its host is an IPv6 address with a zone, which is not supported.");
    return std::string(url.host_ipv6_address().to_string());
  }
  std::string host = url.host();
  if (host.empty()) return Fail("it names no host.");
  if (host.starts_with('/'))
    return Fail("its host is a socket path; a worker reaches databases over TCP only.");
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  if (host.contains(',')) return Fail("it names several hosts; only one is supported.");
  if (host.size() > 253 || host.find_first_not_of(kAllowed) != std::string::npos || host.starts_with('-')) {
    return Fail("its host is not a host name or an address (an IPv6 address stands in [brackets]).");
  }
  return host;
}

std::expected<std::string, std::string> ReadDatabase(const boost::urls::url_view& url) {
  const std::string path = url.path();
  if (path.size() < 2) return Fail("it names no database; add /database after the host.");
  if (url.encoded_segments().size() != 1)
    return Fail(
        "after the host there must be one name only, the database; a / or @ in the password is written as "
        "%2F or %40.");
  std::string name = path.substr(1);
  if (name.size() > 128) return Fail("its database name is longer than 128 bytes.");
  return name;
}

std::expected<std::map<std::string, std::string>, std::string> ReadOptions(DatabaseKind kind,
                                                                           const boost::urls::url_view& url) {
  std::map<std::string, std::string> options;
  std::vector<std::string> names;
  for (const ConnectionOption& option : ConnectionOptions(kind)) names.emplace_back(option.name);
  for (const auto& parameter : url.params()) {
    std::string name = base::ToLowerAscii(parameter.key);
    std::ranges::replace(name, '-', '_');
    const auto option = std::ranges::find(ConnectionOptions(kind), name, &ConnectionOption::name);
    if (option == ConnectionOptions(kind).end()) {
      const auto nearest = base::Nearest(name, names);
      return Fail("its query part holds an option that is not known" +
                  (nearest ? "; did you mean \"" + *nearest + "\"?" : std::string(".")) +
                  " Allowed: " + OptionNames(kind) + ".");
    }
    const auto accepted = IsCleanText(parameter.value) ? option->accept(parameter.value) : std::nullopt;
    if (!accepted) {
      return Fail("its option " + name +
                  " has a value that is not allowed. Allowed: " + std::string(option->allowed) + ".");
    }
    if (!options.emplace(name, *accepted).second) return Fail("its option " + name + " is there twice.");
  }
  return options;
}

std::expected<ServerTarget, std::string> ReadTarget(DatabaseKind kind, const boost::urls::url_view& url) {
  ServerTarget target;
  if (!url.has_authority() || !url.has_userinfo() || url.user().empty()) {
    return Fail("it names no user; write user:password@ before the host.");
  }
  target.user = url.user();
  std::string password = url.password();
  const bool clean = IsCleanText(target.user) && IsCleanText(password) && IsCleanText(url.path());
  target.password = base::Secret(std::move(password));
  if (!clean) return Fail("its user, password or database holds a control character or is not UTF-8.");

  auto host = ReadHost(url);
  if (!host) return Fail(host.error());
  target.host = std::move(*host);

  // "host:" without digits is the default port, as RFC 3986 has it.
  target.port = url.has_port() && !url.port().empty() ? url.port_number() : Facts(kind).default_port;
  if (target.port == 0) return Fail("its port is not a number from 1 to 65535.");

  auto database = ReadDatabase(url);
  if (!database) return Fail(database.error());
  target.database = std::move(*database);
  if (url.has_fragment()) return Fail("it holds \"#\"; write it as %23.");

  auto options = ReadOptions(kind, url);
  if (!options) return Fail(options.error());
  target.options = std::move(*options);
  return target;
}

}  // namespace

std::span<const ConnectionOption> ConnectionOptions(DatabaseKind kind) {
  switch (kind) {
    case DatabaseKind::kPostgres:
      return kPostgresOptions;
    case DatabaseKind::kMysql:
      return kMysqlOptions;
    case DatabaseKind::kSqlite:
      break;
  }
  return {};
}

std::expected<ServerTarget, std::string> ParseServerTarget(DatabaseKind kind, std::string_view text) {
  if (text.empty()) return Fail("it is empty; it must look like " + std::string(Facts(kind).example) + ".");
  if (text.size() > 4096) return Fail("it is longer than 4096 bytes.");
  const std::string scheme = base::ToLowerAscii(text.substr(0, std::min(text.find("://"), text.size())));
  if (!std::ranges::contains(Facts(kind).schemes, scheme)) return Fail(WrongScheme(kind, text));
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed) {
    return Fail(
        "it must look like " + std::string(Facts(kind).example) +
        ", with a port from 1 to 65535. In the user, password and database every character but letters, "
        "digits and -._~!$&'()*+,;= must be percent-encoded (@ as %40, : as %3A, / as %2F, # as %23, ? as "
        "%3F, "
        "% as %25).");
  }
  try {
    return ReadTarget(kind, *parsed);
  } catch (const std::exception&) {
    // The library's text may hold part of the string.
    return Fail("it must look like " + std::string(Facts(kind).example) + ".");
  }
}

std::expected<std::string, std::string> ParseSqlitePath(std::string_view text) {
  constexpr std::string_view kScheme = "sqlite://";
  constexpr std::string_view kForm = "it must be an absolute path such as /data/shop.db.";
  const bool is_url = base::EqualsIgnoreCase(text.substr(0, kScheme.size()), kScheme);
  std::string path(is_url ? text.substr(kScheme.size()) : text);
  if (!path.starts_with('/')) {
    if (!is_url && text.contains("://"))
      return Fail(std::string(kForm) + " For a database server set its type.");
    return Fail(std::string(kForm));
  }
  if (is_url) {
    const auto encoded = boost::urls::make_pct_string_view(path);
    if (!encoded)
      return Fail("it holds a \"%\" that two hex digits don't follow; write %25 for the character.");
    path = encoded->decode();
    if (path.contains('?')) return Fail("options are not supported for SQLite; " + std::string(kForm));
  }
  if (path.size() > 4096) return Fail("its path is longer than 4096 bytes.");
  if (!IsCleanText(path)) return Fail("its path holds a control character or is not UTF-8.");
  if (path.ends_with('/')) return Fail("its path ends in \"/\", so it names a folder; " + std::string(kForm));
  if ((path + "/").contains("/../") || (path + "/").contains("/./") || path.contains("//")) {
    return Fail("its path holds \"..\", \".\" or \"//\"; write it without.");
  }
  return path;
}

bool IsLoopbackHost(std::string_view host) {
  if (base::EqualsIgnoreCase(host, "localhost") || host == "::1" || host == "0.0.0.0" || host == "::")
    return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace pondpilot::config
