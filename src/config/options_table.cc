#include "config/options.h"
#include "config/profiles.h"

namespace pondpilot::config {
namespace {

constexpr double kSecond = 1000;
constexpr double kMinute = 60 * kSecond;
constexpr double kHour = 60 * kMinute;

constinit const Option kOptions[] = {
    {.key = "server.port",
     .env = "PORT",
     .field = +[](Config& c) -> auto& { return c.server.port; },
     .default_text = "8080",
     .range = Range{1, 65535},
     .example = "8080",
     .description = "Port of the HTTP server: health, tokens, AI."},
    {.key = "server.grpc_port",
     .env = "GRPC_PORT",
     .field = +[](Config& c) -> auto& { return c.server.grpc_port; },
     .default_text = "8081",
     .range = Range{1, 65535},
     .example = "8081",
     .description = "Port of the gRPC server: Arrow Flight SQL. Not the same as `server.port`."},
    {.key = "server.quack_port",
     .env = "QUACK_PORT",
     .field = +[](Config& c) -> auto& { return c.server.quack_port; },
     .default_text = "0",
     .range = Range{0, 65535},
     .example = "9494",
     .description = "A second port of the HTTP server: 9494 is the one that DuckDB takes for `ATTACH "
                    "'quack:host'` without a port. 0: none."},
    {.key = "server.host",
     .env = "HOST",
     .field = +[](Config& c) -> auto& { return c.server.host; },
     .default_text = "0.0.0.0",
     .rule = &kListenHostRule,
     .example = "\"0.0.0.0\"",
     .description = "Address that the servers listen on, but for `server.metrics_port`."},
    {.key = "server.metrics_port",
     .env = "METRICS_PORT",
     .field = +[](Config& c) -> auto& { return c.server.metrics_port; },
     .default_text = "0",
     .range = Range{0, 65535},
     .example = "9464",
     .description =
         "Another port that answers `GET /metrics`, without a token, on `server.metrics_host`. 0: none. On "
         "`server.port` the route stays, for operators' tokens."},
    {.key = "server.metrics_host",
     .env = "METRICS_HOST",
     .field = +[](Config& c) -> auto& { return c.server.metrics_host; },
     .default_text = "127.0.0.1",
     .rule = &kListenHostRule,
     .example = "\"10.0.0.5\"",
     .description =
         "Address that `server.metrics_port` listens on. By default only what shares the proxy's "
         "machine or container reaches it; with another one, all that reaches the address: workers in "
         "containers too, where it is one of their network. "
         "[Operations](operations.md#metrics) says how to scrape from another container."},
    {.key = "server.trusted_proxies",
     .env = "TRUSTED_PROXIES",
     .field = +[](Config& c) -> auto& { return c.server.trusted_proxies; },
     .default_text = "",
     .rule = &kNetworkRule,
     .example = "[\"10.0.0.0/8\", \"192.0.2.7\"]",
     .description = "Load balancers and reverse proxies in front. Of their connections the client's address, "
                    "which limits "
                    "and log lines go by, is taken from `X-Forwarded-For` (over gRPC: `x-forwarded-for`): "
                    "the last entry "
                    "that is none of these. Of all others' it is not looked at, as anybody can write one."},

    {.key = "containers.backend",
     .env = "CONTAINER_BACKEND",
     .field = +[](Config& c) -> auto& { return c.containers.backend; },
     .default_text = "auto",
     .rule = &kBackendRule,
     .example = "process",
     .description =
         "What workers run in: `docker`, a container each; `process`, a sandboxed process each, beside the "
         "proxy, without any engine; `auto`, Docker when there is something at `containers.docker_socket`, "
         "else processes. See [Worker processes](security.md#worker-processes)."},
    {.key = "containers.require",
     .env = "CONTAINER_REQUIRE",
     .field = +[](Config& c) -> auto& { return c.containers.require; },
     .default_text = "",
     .rule = &kJailLayerRule,
     .example = "[user, landlock, seccomp]",
     .description =
         "Layers of isolation that worker processes must have. The proxy does not start where the system "
         "denies one of them; of one that is not listed it says so in a log line. What each is: "
         "[Worker processes](security.md#worker-processes). Containers have their own isolation, which this "
         "does not change."},
    {.key = "containers.zygote",
     .env = "CONTAINER_ZYGOTE",
     .field = +[](Config& c) -> auto& { return c.containers.zygote; },
     .default_text = "true",
     .example = "false",
     .description =
         "Worker processes are forked by a process that has the engine open already, which makes their start "
         "several times as fast and lets them share memory; `false` has each run its program by itself, "
         "which "
         "gives each a layout of memory of its own. See [Worker processes](security.md#worker-processes). "
         "Containers are not affected."},
    {.key = "containers.image",
     .env = "CONTAINER_IMAGE",
     .field = +[](Config& c) -> auto& { return c.containers.image; },
     .default_text = "ghcr.io/pondpilot/sqlflite:latest",
     .rule = &kImageRule,
     .example = "\"ghcr.io/pondpilot/sqlflite:latest\"",
     .description = "Image of the workers."},
    {.key = "containers.idle_timeout",
     .env = "CONTAINER_IDLE_TIMEOUT",
     .field = +[](Config& c) -> auto& { return c.containers.idle_timeout; },
     .default_text = "5m",
     .range = Range{kSecond, 7 * 24 * kHour},
     .bare_env_milliseconds = true,
     .reloadable = true,
     .example = "5m",
     .description =
         "A worker is stopped after this long without a running query, open stream or open transaction."},
    {.key = "containers.session_timeout",
     .env = "CONTAINER_SESSION_TIMEOUT",
     .field = +[](Config& c) -> auto& { return c.containers.session_timeout; },
     .default_text = "30m",
     .range = Range{kSecond, 7 * 24 * kHour},
     .bare_env_milliseconds = true,
     .reloadable = true,
     .example = "30m",
     .description = "The same for a worker with temporary tables, settings or prepared statements of a "
                    "session, when it is longer "
                    "than `containers.idle_timeout`. A session ends by itself after 30 minutes without use."},
    {.key = "containers.memory_limit",
     .env = "CONTAINER_MEMORY_LIMIT",
     .field = +[](Config& c) -> auto& { return c.containers.memory_limit_bytes; },
     .default_text = "512m",
     .range = Range{kLeastMemoryBytes, kMostMemoryBytes},
     .reloadable = true,
     .example = "\"512m\"",
     .description = "Memory of one worker. DuckDB's own memory_limit is this less 256 MiB for the rest of "
                    "the worker, and at least about a third of it; beyond, DuckDB spills to disk."},
    {.key = "containers.cpu_limit",
     .env = "CONTAINER_CPU_LIMIT",
     .field = +[](Config& c) -> auto& { return c.containers.cpu_limit; },
     .default_text = "0.5",
     .range = Range{kLeastCores, kMostCores},
     .reloadable = true,
     .example = "0.5",
     .description = "Processor cores of one worker."},
    {.key = "containers.profiles",
     .env = "CONTAINER_PROFILES",
     .field = +[](Config& c) -> auto& { return c.containers.profiles; },
     .default_text = "",
     .rule = &kProfileRule,
     .reloadable = true,
     .example = "[\"large:2g:2\", \"small:256m:0.25\"]",
     .description = "Other limits for the workers of users whose token has the claim `pondpilot_profile` "
                    "with one of these "
                    "names. A profile that is not listed is refused."},
    {.key = "containers.max_per_host",
     .env = "CONTAINER_MAX_PER_HOST",
     .field = +[](Config& c) -> auto& { return c.containers.max_per_host; },
     .default_text = "100",
     .range = Range{1, 10'000},
     .reloadable = true,
     .example = "100",
     .description = "Most workers that live at the same time. When they all work, a new user waits for "
                    "`containers.queue_timeout`."},
    {.key = "containers.queue_timeout",
     .env = "CONTAINER_QUEUE_TIMEOUT",
     .field = +[](Config& c) -> auto& { return c.containers.queue_timeout; },
     .default_text = "10s",
     .range = Range{0, 10 * kMinute},
     .bare_env_milliseconds = true,
     .reloadable = true,
     .example = "10s",
     .description = "How long a new user waits, first come first served, while `containers.max_per_host` "
                    "workers all work. "
                    "Then the call is refused with RESOURCE_EXHAUSTED and says when to try again."},
    {.key = "containers.warm",
     .env = "CONTAINER_WARM",
     .field = +[](Config& c) -> auto& { return c.containers.warm; },
     .default_text = "1",
     .range = Range{0, 1'000},
     .reloadable = true,
     .example = "5",
     .description =
         "Workers that are kept ready for users to come, who then start in milliseconds. They count towards "
         "`containers.max_per_host` and know no database until they are somebody's."},
    {.key = "containers.max_calls_per_user",
     .env = "CONTAINER_MAX_CALLS_PER_USER",
     .field = +[](Config& c) -> auto& { return c.containers.max_calls_per_user; },
     .default_text = "100",
     // A worker serves 128 at most, and the proxy asks it for its state now and then.
     .range = Range{1, 112},
     .reloadable = true,
     .example = "100",
     .description =
         "Flight calls of one user that may be open at the same time: running statements, results that are "
         "being read, calls that wait for the worker. One more is refused with RESOURCE_EXHAUSTED."},
    {.key = "containers.network",
     .env = "CONTAINER_NETWORK",
     .field = +[](Config& c) -> auto& { return c.containers.network; },
     .default_text = "bridge",
     .rule = &kDockerNameRule,
     .example = "pondpilot",
     .description =
         "Docker network that workers join. Either a network's full name or the name it has in the compose "
         "file that also started the proxy."},
    {.key = "containers.start_timeout",
     .env = "CONTAINER_START_TIMEOUT",
     .field = +[](Config& c) -> auto& { return c.containers.start_timeout; },
     .default_text = "1m",
     .range = Range{kSecond, 10 * kMinute},
     .bare_env_milliseconds = true,
     .reloadable = true,
     .example = "1m",
     .description =
         "A worker that isn't ready this long after its launch is removed and its launch counts as failed."},
    {.key = "containers.instance",
     .env = "PONDPILOT_INSTANCE",
     .field = +[](Config& c) -> auto& { return c.containers.instance; },
     .default_text = "",
     .rule = &kInstanceRule,
     .example = "team-a",
     .description =
         "Sets apart the workers of several proxies on one Docker engine: after a restart a proxy finds its "
         "own by this name. Empty: derived from the proxy's own container."},
    {.key = "containers.docker_socket",
     .env = "DOCKER_SOCKET",
     .field = +[](Config& c) -> auto& { return c.containers.docker_socket; },
     .default_text = "/var/run/docker.sock",
     .rule = &kSocketPathRule,
     .example = "/var/run/docker.sock",
     .description = "Socket of the Docker engine, as the proxy sees it. In the product's image set "
                    "DOCKER_SOCKET: its entry point gives the proxy that socket's group."},

    {.key = "duckdb.extensions",
     .env = "",
     .field = +[](Config& c) -> auto& { return c.duckdb.extensions; },
     .default_text = "",
     .rule = &kExtensionRule,
     .reloadable = true,
     .example = "[arrow, postgres, mysql]",
     .description =
         "DuckDB extensions loaded in each worker. `arrow` is built in and accepted; those that attached "
         "databases need are loaded without being listed."},
    {.key = "duckdb.attached_databases",
     .env = "",
     .field = +[](Config& c) -> auto& { return c.duckdb.attached_databases; },
     .default_text = "",
     .reloadable = true,
     .example = "see below",
     .description =
         "Databases that every worker starts with. See [Attached databases](#attached-databases)."},
    {.key = "duckdb.statement_timeout",
     .env = "DUCKDB_STATEMENT_TIMEOUT",
     .field = +[](Config& c) -> auto& { return c.duckdb.statement_timeout; },
     .default_text = "0s",
     .range = Range{0, 7 * 24 * kHour},
     .bare_env_milliseconds = true,
     .reloadable = true,
     .example = "10m",
     .description = "The most that one statement may take, from its start until its last row is computed, "
                    "the time that its client takes to read it included. Then it ends with "
                    "DEADLINE_EXCEEDED. A client's own deadline counts when it is sooner. 0s: no limit."},

    {.key = "security.rate_limit.requests_per_minute",
     .env = "",
     .field = +[](Config& c) -> auto& { return c.security.rate_limit.requests_per_minute; },
     .default_text = "100",
     .range = Range{1, 1'000'000},
     .reloadable = true,
     .example = "100",
     .description = "Requests that one user may make per minute in the long run."},
    {.key = "security.rate_limit.burst_size",
     .env = "",
     .field = +[](Config& c) -> auto& { return c.security.rate_limit.burst_size; },
     .default_text = "200",
     .range = Range{1, 1'000'000},
     .reloadable = true,
     .example = "200",
     .description =
         "Requests that one user may make at once after a quiet time (depth of the token bucket)."},
    {.key = "security.rate_limit.demo_requests_per_minute",
     .env = "",
     .field = +[](Config& c) -> auto& { return c.security.rate_limit.demo_requests_per_minute; },
     .default_text = "0",
     .range = Range{0, 1'000'000},
     .reloadable = true,
     .example = "10",
     .description = "The same for a user with a demo token. 0: a tenth of `requests_per_minute`."},
    {.key = "security.rate_limit.demo_burst_size",
     .env = "",
     .field = +[](Config& c) -> auto& { return c.security.rate_limit.demo_burst_size; },
     .default_text = "0",
     .range = Range{0, 1'000'000},
     .reloadable = true,
     .example = "20",
     .description = "The same for a user with a demo token. 0: a tenth of `burst_size`."},
    {.key = "security.rate_limit.demo_tokens_per_minute",
     .env = "",
     .field = +[](Config& c) -> auto& { return c.security.rate_limit.demo_tokens_per_minute; },
     .default_text = "10",
     .range = Range{1, 1'000'000},
     .reloadable = true,
     .example = "10",
     .description =
         "Demo tokens that one address gets per minute, and at once. Of IPv6 its /64 network counts."},
    {.key = "security.rate_limit.anonymous_requests_per_minute",
     .env = "",
     .field = +[](Config& c) -> auto& { return c.security.rate_limit.anonymous_requests_per_minute; },
     .default_text = "60",
     .range = Range{1, 1'000'000},
     .reloadable = true,
     .example = "60",
     .description =
         "Requests without a valid token that one address may make per minute in the long run. Those "
         "with one are never refused for them."},
    {.key = "security.rate_limit.anonymous_burst_size",
     .env = "",
     .field = +[](Config& c) -> auto& { return c.security.rate_limit.anonymous_burst_size; },
     .default_text = "120",
     .range = Range{1, 1'000'000},
     .reloadable = true,
     .example = "120",
     .description = "Of those, how many at once."},
    {.key = "security.demo_tokens",
     .env = "DEMO_TOKENS",
     .field = +[](Config& c) -> auto& { return c.security.demo_tokens; },
     .default_text = "true",
     .example = "false",
     .description =
         "Whether `POST /auth/demo-token` gives out tokens. Anybody who reaches the HTTP port can get one: "
         "switch it off where that isn't wanted."},
    {.key = "security.cors_allowed_origins",
     .env = "CORS_ALLOWED_ORIGINS",
     .field = +[](Config& c) -> auto& { return c.security.cors_allowed_origins; },
     .default_text = "",
     .rule = &kOriginRule,
     .example = "[\"https://app.pondpilot.io\"]",
     .description = "Web pages of these origins may call the HTTP server from a browser."},
    {.key = "",
     .env = "JWT_SECRET",
     .field = +[](Config& c) -> auto& { return c.security.jwt_secret; },
     .default_text = "",
     .rule = &kJwtSecretRule,
     .secret = true,
     .required = true,
     .example = "the output of `openssl rand -hex 32`",
     .description =
         "Secret that tokens are signed with (HS256). In the environment only, so that it doesn't end up in "
         "a file that is passed around."},

    {.key = "ai.claude_api_key",
     .env = "CLAUDE_API_KEY",
     .field = +[](Config& c) -> auto& { return c.ai.claude_api_key; },
     .default_text = "",
     .rule = &kApiKeyRule,
     .secret = true,
     .example = "\"${CLAUDE_API_KEY}\"",
     .description = "Anthropic key. Without one, chat with Claude models is off."},
    {.key = "ai.openai_api_key",
     .env = "OPENAI_API_KEY",
     .field = +[](Config& c) -> auto& { return c.ai.openai_api_key; },
     .default_text = "",
     .rule = &kApiKeyRule,
     .secret = true,
     .example = "\"${OPENAI_API_KEY}\"",
     .description = "OpenAI key. Without one, other models and embeddings are off."},
    {.key = "ai.claude_base_url",
     .env = "CLAUDE_BASE_URL",
     .field = +[](Config& c) -> auto& { return c.ai.claude_base_url; },
     .default_text = "https://api.anthropic.com",
     .rule = &kBaseUrlRule,
     .example = "\"https://gateway.example.com/anthropic\"",
     .description = "Where Claude models are called; `/v1/messages` is added to it."},
    {.key = "ai.openai_base_url",
     .env = "OPENAI_BASE_URL",
     .field = +[](Config& c) -> auto& { return c.ai.openai_base_url; },
     .default_text = "https://api.openai.com/v1",
     .rule = &kBaseUrlRule,
     .example = "\"http://ollama:11434/v1\"",
     .description =
         "Where other models are called: any server that speaks OpenAI's API. `/chat/completions` and "
         "`/embeddings` are added to it, so it usually ends in `/v1`."},
    {.key = "ai.default_model",
     .env = "AI_DEFAULT_MODEL",
     .field = +[](Config& c) -> auto& { return c.ai.default_model; },
     .default_text = "claude-sonnet-4-20250514",
     .rule = &kModelRule,
     .example = "claude-sonnet-4-20250514",
     .description = "Model of a chat request that names none."},
    {.key = "ai.embed_batch_size",
     .env = "AI_EMBED_BATCH_SIZE",
     .field = +[](Config& c) -> auto& { return c.ai.embed_batch_size; },
     .default_text = "256",
     .range = Range{1, 256},
     .example = "32",
     .description = "Texts that go to the server of `ai.openai_base_url` in one call for embeddings; a "
                    "request with more is "
                    "sent in several. OpenAI takes 2048, some servers only 32."},

    {.key = "tracing.otlp_endpoint",
     .env = "OTEL_EXPORTER_OTLP_ENDPOINT",
     .field = +[](Config& c) -> auto& { return c.tracing.otlp_endpoint; },
     .default_text = "",
     .rule = &kOptionalUrlRule,
     .example = "\"http://collector:4318\"",
     .description =
         "OpenTelemetry collector that gets a span of each request, over OTLP/HTTP (`/v1/traces` is added). "
         "Empty: none. Its headers, certificates and timeout are OpenTelemetry's own variables "
         "(`OTEL_EXPORTER_OTLP_HEADERS` …)."},
    {.key = "tracing.sample_ratio",
     .env = "OTEL_TRACES_SAMPLER_ARG",
     .field = +[](Config& c) -> auto& { return c.tracing.sample_ratio; },
     .default_text = "1",
     .range = Range{0, 1},
     .example = "0.1",
     .description = "Share of the requests of which spans are exported. One that brings a `traceparent` says "
                    "itself whether "
                    "it is one of them, when it has a valid token in its headers or comes from "
                    "`server.trusted_proxies`."},

    {.key = "log.level",
     .env = "LOG_LEVEL",
     .field = +[](Config& c) -> auto& { return c.log.level; },
     .default_text = "info",
     .rule = &kLogLevelRule,
     .reloadable = true,
     .example = "debug",
     .description = "Least severe log lines that are written."},
};

}  // namespace

std::span<const Option> Options() { return kOptions; }

}  // namespace pondpilot::config
