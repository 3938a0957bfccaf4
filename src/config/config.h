#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"

namespace pondpilot::config {

enum class DatabaseKind { kPostgres, kMysql, kSqlite };

// "postgres", "mysql", "sqlite".
std::string_view ToString(DatabaseKind kind);

// Where a PostgreSQL or MySQL database is, taken apart from its connection string.
struct ServerTarget {
  std::string host;
  uint16_t port = 0;
  std::string database;
  std::string user;
  base::Secret password;
  std::map<std::string, std::string> options;  // the query part, from a closed list per kind
};

struct AttachedDatabase {
  std::string alias;
  DatabaseKind kind = DatabaseKind::kPostgres;
  bool read_only = true;
  // Exactly one of the three is set.
  std::optional<ServerTarget> server;      // postgres, mysql
  std::optional<std::string> sqlite_path;  // absolute, as the proxy's configuration says it
  std::optional<std::string> unavailable;  // a sentence that says why and what to do
};

struct Config {
  struct Server {
    uint16_t port = 8080;
    uint16_t grpc_port = 8081;
    uint16_t quack_port = 0;  // 0: none
    std::string host = "0.0.0.0";
    // Ours. Another port for /metrics, without a token; 0: none.
    uint16_t metrics_port = 0;
    std::string metrics_host = "127.0.0.1";
    // Ours. Addresses and networks whose X-Forwarded-For is believed.
    std::vector<std::string> trusted_proxies;
  } server;

  struct Containers {
    std::string image = "ghcr.io/pondpilot/sqlflite:latest";
    std::chrono::milliseconds idle_timeout = std::chrono::minutes(5);
    // Ours. The same for workers with temporary tables, settings or prepared statements of a session.
    std::chrono::milliseconds session_timeout = std::chrono::minutes(30);
    uint64_t memory_limit_bytes = 512ull << 20;
    double cpu_limit = 0.5;
    // Ours. Limits that a token may ask for, each as ParseProfile reads it; names are unique.
    std::vector<std::string> profiles;
    uint32_t max_per_host = 100;
    // Ours. How long a new user waits at the cap for another's worker to give way.
    std::chrono::milliseconds queue_timeout = std::chrono::seconds(10);
    // Ours. Workers kept ready for users to come.
    uint32_t warm = 1;
    std::string network = "bridge";
    // Ours. Flight calls of one user that may be open at the same time.
    uint32_t max_calls_per_user = 100;
    // Ours. How long a worker may take from launch to ready.
    std::chrono::milliseconds start_timeout = std::chrono::seconds(60);
    // Ours. Sets apart the workers of several proxies on one engine; empty: derived from the proxy's own
    // container.
    std::string instance;
    // Ours. The engine's socket.
    std::string docker_socket = "/var/run/docker.sock";
    // Ours. What workers run in: "docker", "process", or "auto" for Docker where its socket is.
    std::string backend = "auto";
    // Ours. Names of jail layers (jail/layers.h), each at most once, without which no worker process may run.
    std::vector<std::string> require;
    // Ours. Are worker processes forked by a zygote?
    bool zygote = true;
  } containers;

  struct DuckDb {
    // postgres, mysql, sqlite, httpfs, each at most once. "arrow" is accepted in the file and left out here,
    // as it is built in.
    std::vector<std::string> extensions;
    std::vector<AttachedDatabase> attached_databases;
    // Ours. The most that one statement may take; 0: no limit.
    std::chrono::milliseconds statement_timeout{0};
  } duckdb;

  struct Security {
    struct RateLimit {
      uint32_t requests_per_minute = 100;
      uint32_t burst_size = 200;
      // Ours. The same for a demo user; 0: a tenth of it.
      uint32_t demo_requests_per_minute = 0;
      uint32_t demo_burst_size = 0;
      // Ours. By address: demo tokens, and requests without a valid token.
      uint32_t demo_tokens_per_minute = 10;
      uint32_t anonymous_requests_per_minute = 60;
      uint32_t anonymous_burst_size = 120;
    } rate_limit;
    bool demo_tokens = true;                        // ours
    std::vector<std::string> cors_allowed_origins;  // ours; "*" allows any
    base::Secret jwt_secret;                        // JWT_SECRET only
  } security;

  struct Ai {
    base::Secret claude_api_key;
    base::Secret openai_api_key;
    std::string claude_base_url = "https://api.anthropic.com";
    std::string openai_base_url = "https://api.openai.com/v1";
    std::string default_model = "claude-sonnet-4-20250514";
    // Ours. Texts in one call for embeddings.
    uint32_t embed_batch_size = 256;
  } ai;

  // Ours.
  struct Tracing {
    std::string otlp_endpoint;  // base URL of an OpenTelemetry collector; empty: spans are not exported
    double sample_ratio = 1;    // of the traces that begin here
  } tracing;

  struct Log {
    std::string level = "info";  // ours: debug, info, warn, error
  } log;
};

}  // namespace pondpilot::config
