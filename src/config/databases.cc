#include "config/databases.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "config/connection_string.h"
#include "config/substitution.h"
#include "config/values.h"

namespace pondpilot::config {
namespace {

constexpr DatabaseKey kKeys[] = {
    {"alias", "required",
     "a letter or \"_\", then up to 62 letters, digits or \"_\"; unique, whatever the case, and none of "
     "system, temp, "
     "main, memory, information_schema, pg_catalog",
     "mydb", "The database's name in SQL."},
    {"type", "required", "postgres (or postgresql), mysql (or mariadb), sqlite", "postgres",
     "What kind of database it is."},
    {"connection_string", "required", "see [Connection strings](#connection-strings)", "\"${DATABASE_URL}\"",
     "Where it is and who connects. Workers connect, not the proxy: the host must be reachable from their "
     "network."},
    {"read_only", "true", "true or false", "true",
     "Whether statements that write are refused. A login that can only read is the safer fence: give it no "
     "more "
     "privileges than its users may have."},
};

// Catalogs and schemas that DuckDB has of its own.
constexpr std::array<std::string_view, 6> kReservedAliases = {
    "system", "temp", "main", "memory", "information_schema", "pg_catalog"};

constexpr std::array<std::pair<std::string_view, DatabaseKind>, 5> kTypes = {{
    {"postgres", DatabaseKind::kPostgres},
    {"postgresql", DatabaseKind::kPostgres},
    {"mysql", DatabaseKind::kMysql},
    {"mariadb", DatabaseKind::kMysql},
    {"sqlite", DatabaseKind::kSqlite},
}};

bool IsAlias(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !text.empty() && text.size() <= 63 && letter(text[0]) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string Join(const std::vector<std::string>& names, std::string_view before, std::string_view after) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += i + 1 == names.size() ? " and " : ", ";
    out += before;
    out += names[i];
    out += after;
  }
  return out;
}

// Reaches users of the database as well as the operator.
std::string Unavailable(const Substituted& substituted) {
  std::string sentence;
  std::vector<std::string> lines;
  const auto add = [&](const std::vector<std::string>& names, std::string_view state) {
    if (names.empty()) return;
    sentence += (sentence.empty() ? "" : ", and ") + Join(names, "", "") +
                (names.size() == 1 ? " is " : " are ") + std::string(state) + " in the proxy's environment";
    for (const std::string& name : names) lines.push_back("- " + name + "=${" + name + "}");
  };
  add(substituted.unset, "not set");
  add(substituted.empty, "empty");
  return sentence + ". Give " + (lines.size() == 1 ? "it a value" : "them values") + " in .env and add " +
         Join(lines, "\"", "\"") +
         " under environment: of the proxy in docker-compose.yml, then run: docker compose up -d";
}

class Entry {
 public:
  Entry(const YamlNode& node, std::string key, const std::map<std::string, std::string>& environment,
        DatabaseList& list)
      : node_(node), key_(std::move(key)), environment_(environment), list_(list) {}

  void Read() {
    if (node_.kind != YamlNode::Kind::kMap) {
      Problem(node_.line, "",
              "found " + std::string(Describe(node_.kind)) +
                  "; allowed: a map with alias, type and connection_string.");
      return;
    }
    RefuseUnknown();
    const size_t problems_before = list_.problems.size();
    AttachedDatabase database;
    ReadAlias(database);
    const auto kind = ReadType();
    ReadReadOnly(database);
    const YamlNode* const connection = Find("connection_string");
    if (connection == nullptr) {
      Problem(node_.line, "connection_string", "missing; every attached database needs one.");
    } else if (kind) {
      database.kind = *kind;
      ReadConnection(*connection, database);
    }
    if (list_.problems.size() == problems_before) list_.databases.push_back(std::move(database));
  }

 private:
  void Problem(int line, std::string_view name, std::string message) {
    list_.problems.push_back({.line = line, .key = Key(name), .message = std::move(message)});
  }
  void Warning(int line, std::string message) {
    list_.warnings.push_back({.line = line, .key = Key("connection_string"), .message = std::move(message)});
  }
  std::string Key(std::string_view name) const {
    return name.empty() ? key_ : key_ + "." + std::string(name);
  }

  const YamlNode* Find(std::string_view name) const {
    const auto entry = std::ranges::find(node_.entries, name, &YamlEntry::key);
    return entry == node_.entries.end() ? nullptr : &entry->value;
  }

  void RefuseUnknown() {
    std::vector<std::string> known;
    for (const DatabaseKey& key : kKeys) known.emplace_back(key.name);
    for (const YamlEntry& entry : node_.entries) {
      if (std::ranges::contains(known, entry.key)) continue;
      const auto nearest = base::Nearest(entry.key, known);
      std::string all;
      for (const std::string& name : known) all += (all.empty() ? "" : ", ") + name;
      Problem(entry.line, "",
              "unknown key " + Quote(entry.key) + "; " +
                  (nearest ? "did you mean \"" + *nearest + "\"? Allowed" : "allowed") + " here: " + all +
                  ".");
    }
  }

  // The text of a required scalar with every name replaced, or nullopt after telling what is wrong.
  std::optional<std::string> Text(std::string_view name, std::string_view allowed) {
    const YamlNode* const value = Find(name);
    if (value == nullptr) {
      Problem(node_.line, name, "missing; allowed: " + std::string(allowed) + ".");
      return std::nullopt;
    }
    if (value->kind != YamlNode::Kind::kScalar) {
      Problem(value->line, name,
              "found " + std::string(Describe(value->kind)) + "; allowed: " + std::string(allowed) + ".");
      return std::nullopt;
    }
    auto substituted = Substitute(value->text, environment_);
    if (!substituted) {
      Problem(value->line, name, substituted.error());
      return std::nullopt;
    }
    if (!substituted->unset.empty()) {
      Problem(value->line, name,
              "names " + Join(substituted->unset, "${", "}") +
                  ", which the proxy's environment does not have; set it or write the value.");
      return std::nullopt;
    }
    return std::move(substituted->text);
  }

  void Refuse(std::string_view name, std::string_view rule) {
    const YamlNode& value = *Find(name);
    Problem(value.line, name, "found " + Quote(value.text) + "; " + std::string(rule));
  }

  void ReadAlias(AttachedDatabase& database) {
    const auto alias = Text("alias", kKeys[0].allowed);
    if (!alias) return;
    const std::string lower = base::ToLowerAscii(*alias);
    if (!IsAlias(*alias) || std::ranges::contains(kReservedAliases, lower)) {
      Refuse("alias", "allowed: " + std::string(kKeys[0].allowed) + ".");
      return;
    }
    for (const AttachedDatabase& other : list_.databases) {
      if (!base::EqualsIgnoreCase(other.alias, *alias)) continue;
      Refuse("alias",
             "another attached database has this alias already; upper and lower case count as the same.");
      return;
    }
    database.alias = *alias;
  }

  std::optional<DatabaseKind> ReadType() {
    const auto type = Text("type", kKeys[1].allowed);
    if (!type) return std::nullopt;
    const std::string lower = base::ToLowerAscii(*type);
    std::vector<std::string> names;
    for (const auto& [name, kind] : kTypes) {
      if (lower == name) return kind;
      names.emplace_back(name);
    }
    const auto nearest = base::Nearest(lower, names);
    Refuse("type", "allowed: " + std::string(kKeys[1].allowed) + "." +
                       (nearest ? " Did you mean \"" + *nearest + "\"?" : std::string()));
    return std::nullopt;
  }

  void ReadReadOnly(AttachedDatabase& database) {
    if (Find("read_only") == nullptr) return;
    const auto text = Text("read_only", "true or false");
    if (!text) return;
    const auto value = ParseBool(*text);
    if (!value) {
      Refuse("read_only", "allowed: true or false.");
      return;
    }
    database.read_only = *value;
  }

  void ReadConnection(const YamlNode& value, AttachedDatabase& database) {
    const auto wrong = [&](const std::string& message) { Problem(value.line, "connection_string", message); };
    if (value.kind != YamlNode::Kind::kScalar) {
      wrong("found " + std::string(Describe(value.kind)) +
            "; allowed: text, for example \"${DATABASE_URL}\".");
      return;
    }
    const auto substituted = Substitute(value.text, environment_);
    if (!substituted) {
      wrong(substituted.error());
      return;
    }
    if (!substituted->unset.empty() || !substituted->empty.empty()) {
      database.unavailable = Unavailable(*substituted);
      Warning(value.line,
              "database " + Quote(database.alias) + " is unavailable: " + *database.unavailable + ".");
      return;
    }
    if (database.kind == DatabaseKind::kSqlite) {
      auto path = ParseSqlitePath(substituted->text);
      if (!path) {
        wrong("not a usable path: " + path.error());
        return;
      }
      database.sqlite_path = std::move(*path);
      return;
    }
    auto target = ParseServerTarget(database.kind, substituted->text);
    if (!target) {
      wrong("not a usable connection string: " + target.error());
      return;
    }
    if (IsLoopbackHost(target->host)) {
      Warning(value.line,
              "the host of database " + Quote(database.alias) + " is " + target->host +
                  ", which means the worker itself and not the machine it runs on. For a database on the "
                  "Docker host write host.docker.internal; for one in the same compose file, its service "
                  "name.");
    }
    database.server = std::move(*target);
  }

  const YamlNode& node_;
  const std::string key_;
  const std::map<std::string, std::string>& environment_;
  DatabaseList& list_;
};

}  // namespace

std::span<const DatabaseKey> DatabaseKeys() { return kKeys; }

DatabaseList ReadDatabases(const YamlNode& node, std::string_view key,
                           const std::map<std::string, std::string>& environment) {
  DatabaseList list;
  const auto refuse = [&](std::string message) {
    list.problems.push_back({.line = node.line, .key = std::string(key), .message = std::move(message)});
  };
  if (node.kind == YamlNode::Kind::kNull) return list;
  if (node.kind != YamlNode::Kind::kSequence) {
    refuse("found " + std::string(Describe(node.kind)) +
           "; allowed: a list of maps with alias, type and connection_string.");
    return list;
  }
  if (node.items.size() > kMaxAttachedDatabases) {
    refuse("found " + std::to_string(node.items.size()) + " databases; allowed: at most " +
           std::to_string(kMaxAttachedDatabases) + ".");
    return list;
  }
  size_t index = 0;
  for (const YamlNode& item : node.items) {
    Entry(item, std::string(key) + "[" + std::to_string(index++) + "]", environment, list).Read();
  }
  return list;
}

}  // namespace pondpilot::config
