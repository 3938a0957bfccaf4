#include "config/reference.h"

#include <string_view>

#include "config/connection_string.h"
#include "config/databases.h"
#include "config/options.h"

namespace pondpilot::config {
namespace {

constexpr std::string_view kHead = R"(# Configuration

<!-- Printed by `pondpilot-proxy config-reference`. Change src/config/options_table.cc, not this page. -->

Options stand in a YAML file or in the environment. An environment variable that is set wins over the file, the file
wins over the default. A variable that is set to the empty string counts as not set.

The file is `/config.yaml` in the image. Elsewhere name it with `--config FILE` or in `PONDPILOT_CONFIG`. A missing
`/config.yaml` means defaults; a missing file that was named is an error. The file is read at the start, and again when
the proxy gets SIGHUP (`docker kill --signal HUP`): it then takes what the tables mark with ⟳ and says in the log which
keys have changed and which of them need a restart. A file with a mistake changes nothing. Limits, extensions and databases
hold for workers that are started from then on.

Unknown keys, wrong types and values out of range stop the start. Every problem is told at once, with file, line, key,
what was found, what is allowed and, for unknown keys, the nearest known one.

The only thing that has to be set is `JWT_SECRET`. A whole file:

```yaml
server:
  port: 8080
  grpc_port: 8081
  host: "0.0.0.0"
containers:
  image: "ghcr.io/pondpilot/sqlflite:latest"
  idle_timeout: 5m
  memory_limit: "512m"
  cpu_limit: 0.5
duckdb:
  extensions: [arrow, postgres, mysql]
  attached_databases:
    - alias: "mydb"
      type: "postgres"
      connection_string: "${DATABASE_URL}"
```
)";

constexpr std::string_view kNotation = R"(
## How values are written

**Durations** are a whole number and a unit: `500ms`, `30s`, `5m`, `1h`. In the environment a number alone is
milliseconds: `CONTAINER_IDLE_TIMEOUT=300000` is `5m`.

**Sizes** are a whole number and `k`, `m` or `g`, with or without a `b` after it, in either case; a unit is 1024 times
the one before (`512m`, `1g`, `512MB`). A number alone is bytes.

**True or false** may also be written yes and no, on and off, 1 and 0.

**Lists** are YAML lists (`[a, b]`) in the file and comma-separated in the environment.

**Substitution.** `${NAME}` inside any value of the file is replaced by the environment variable NAME of the proxy.
`$${` stands for the characters `${`. A name that is not set stops the start, except in a `connection_string`: then that
one database is unavailable (see below). Defaults as in `${NAME:-x}` are not supported.

Mind that docker compose's `.env` feeds compose's own substitution only. To have a variable in the proxy's environment,
list it in docker-compose.yml:

```yaml
    environment:
      - JWT_SECRET=${JWT_SECRET}
      - DATABASE_URL=${DATABASE_URL}
```

**YAML.** UTF-8, one document, at most 1 MiB. Duplicate keys, tags and tabs as indentation are errors; anchors and
aliases work within limits.
)";

constexpr std::string_view kDatabasesHead = R"(
## Attached databases

`duckdb.attached_databases` is a list of at most MOST maps with these keys:

)";

constexpr std::string_view kDatabasesTail = R"(
```yaml
duckdb:
  attached_databases:
    - alias: shop
      type: postgres
      connection_string: "${DATABASE_URL}"
    - alias: crm
      type: mysql
      connection_string: "mysql://reader:${CRM_PASSWORD}@crm-db:3306/crm?ssl_mode=required"
    - alias: archive
      type: sqlite
      connection_string: /data/archive.db
```

In SQL a table is `alias.schema.table` for PostgreSQL and `alias.table` for MySQL and SQLite.

A database that can't be reached, or whose `connection_string` names a variable that is not set or empty, is unavailable.
The proxy and the workers start all the same; `/health/detailed`, the log and every query that names the database say
why. A connection string that is malformed stops the start.

### Connection strings

| type | Form | Port, when none is given |
|---|---|---|
| `postgres` | `postgresql://user:password@host:port/database?option=value` (or `postgres://`) | 5432 |
| `mysql` | `mysql://user:password@host:port/database?option=value` (or `mariadb://`) | 3306 |
| `sqlite` | `/absolute/path/to/file.db` (or `sqlite:///absolute/path/to/file.db`) | |

In user, password and database every character but letters, digits and `-._~!$&'()*+,;=` is percent-encoded: `@` is
`%40`, `:` is `%3A`, `/` is `%2F`, `#` is `%23`, `?` is `%3F`, `%` is `%25`. An IPv6 address stands in brackets.

Workers connect, not the proxy. `localhost` there means the worker itself: write `host.docker.internal` for a database
on the Docker host, or the service name of one in the same compose file.

Options after `?`, several of them joined by `&`; no others are accepted:

)";

std::string Cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out.empty() ? "–" : out;
}

std::string Code(std::string_view text) {
  return text.empty() ? std::string() : "`" + std::string(text) + "`";
}

// "security.rate_limit.burst_size" belongs to the section "security".
std::string_view Section(const Option& option) {
  return option.key.empty() ? std::string_view("security") : option.key.substr(0, option.key.find('.'));
}

bool IsList(const Option& option) {
  return std::holds_alternative<Ref<std::vector<std::string>>>(option.field) ||
         std::holds_alternative<Ref<std::vector<AttachedDatabase>>>(option.field);
}

std::string Default(const Option& option) {
  if (option.required) return "required";
  return Code(IsList(option) ? "[]" : option.default_text);
}

std::string ExampleOf(const Option& option) {
  // Examples that are prose bring their own back quotes.
  const bool prose = option.example.contains('`') || option.example == "see below";
  return prose ? std::string(option.example) : Code(option.example);
}

std::string Row(const Option& option) {
  return "| " + Cell(Code(option.key)) + (option.reloadable ? " ⟳" : "") + " | " + Cell(Code(option.env)) +
         " | " + Cell(TypeName(option)) + " | " + Cell(Default(option)) + " | " + Cell(option.description) +
         " | " + Cell(Allowed(option)) + " | " + Cell(ExampleOf(option)) + " |\n";
}

}  // namespace

std::string ConfigReference() {
  std::string page(kHead);
  page += "\n## Options\n";
  std::string_view section;
  for (const Option& option : Options()) {
    if (Section(option) != section) {
      section = Section(option);
      page += "\n### " + std::string(section) + "\n\n";
      page +=
          "| YAML key | Environment | Type | Default | Meaning | Allowed | Example "
          "|\n|---|---|---|---|---|---|---|\n";
    }
    page += Row(option);
  }
  page += kNotation;

  std::string head(kDatabasesHead);
  head.replace(head.find("MOST"), 4, std::to_string(kMaxAttachedDatabases));
  page += head;
  page += "| Key | Default | Meaning | Allowed | Example |\n|---|---|---|---|---|\n";
  for (const DatabaseKey& key : DatabaseKeys()) {
    page += "| " + Code(key.name) + " | " +
            (key.default_text == "required" ? std::string("required") : Code(key.default_text)) + " | " +
            Cell(key.description) + " | " + Cell(key.allowed) + " | " + Code(key.example) + " |\n";
  }
  page += kDatabasesTail;
  page += "| type | Option | Allowed |\n|---|---|---|\n";
  for (const DatabaseKind kind : {DatabaseKind::kPostgres, DatabaseKind::kMysql}) {
    for (const ConnectionOption& option : ConnectionOptions(kind)) {
      page += "| " + Code(ToString(kind)) + " | " + Code(option.name) + " | " + Cell(option.allowed) + " |\n";
    }
  }
  return page;
}

}  // namespace pondpilot::config
