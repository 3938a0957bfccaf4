#include "proxy/app.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <iostream>
#include <memory>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "config/changes.h"
#include "config/profiles.h"
#include "proxy/access/gate.h"
#include "proxy/auth/token_issuer.h"
#include "proxy/auth/token_verifier.h"
#include "proxy/backend.h"
#include "proxy/budgets.h"
#include "proxy/door_metrics.h"
#include "proxy/fleet/fleet.h"
#include "proxy/fleet/grpc_worker_control.h"
#include "proxy/grpc/flight_server.h"
#include "proxy/health_source.h"
#include "proxy/http/server.h"
#include "proxy/metrics.h"
#include "proxy/operator_source.h"
#include "proxy/routes.h"
#include "telemetry/log.h"
#include "telemetry/otlp_tracer.h"

namespace pondpilot::proxy {
namespace {

namespace asio = boost::asio;
using telemetry::Level;
using telemetry::Log;

constexpr std::chrono::seconds kDrainGrace(5);
// So long after the last call the client may still ask for the result that it announced.
constexpr std::chrono::milliseconds kQuiet(500);
constexpr std::chrono::milliseconds kLastWords(200);
constexpr std::chrono::seconds kHttpGrace(2);
// Of the listener for metrics.
constexpr size_t kMetricsConnections = 100;

Level ToLevel(const std::string& name) {
  if (name == "debug") return Level::kDebug;
  if (name == "warn") return Level::kWarn;
  if (name == "error") return Level::kError;
  return Level::kInfo;
}

// The thread that runs everything but the relay: HTTP, launching, heartbeats, timers. Ends when destroyed.
class Background {
 public:
  Background() : thread_([this] { context_.run(); }) {}
  ~Background() { Stop(); }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  asio::any_io_executor executor() { return context_.get_executor(); }

  // Nothing runs there any more when it returns. Idempotent.
  void Stop() {
    work_.reset();
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }
  // Stops it when it goes.
  class Stopped {
   public:
    explicit Stopped(Background& background) : background_(background) {}
    ~Stopped() { background_.Stop(); }
    Stopped(const Stopped&) = delete;
    Stopped& operator=(const Stopped&) = delete;

   private:
    Background& background_;
  };

  // Runs a coroutine there.
  template <typename T>
  std::future<T> Begin(asio::awaitable<T> coroutine) {
    return asio::co_spawn(context_, std::move(coroutine), asio::use_future);
  }
  // The same, and waits for its result.
  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    return Begin(std::move(coroutine)).get();
  }

 private:
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(context_);
  std::thread thread_;
};

int Fail(const base::Error& error) {
  std::cerr << "pondpilot-proxy: " << error.message << "\n";
  if (!error.detail.empty()) std::cerr << "pondpilot-proxy: " << error.detail << "\n";
  return kExitEnvironment;
}

// Keys of their own: none says anything about another, nor about the tokens of users.
base::Secret KeyFor(const config::Config& config, std::string_view purpose) {
  return base::Secret(base::HmacSha256Hex(config.security.jwt_secret, purpose));
}

fleet::FleetOptions FleetOptionsFor(const config::Config& config) {
  fleet::FleetOptions options;
  options.idle_timeout = config.containers.idle_timeout;
  options.session_timeout = config.containers.session_timeout;
  options.start_timeout = config.containers.start_timeout;
  options.queue_timeout = config.containers.queue_timeout;
  options.max_workers = config.containers.max_per_host;
  options.warm_workers = config.containers.warm;
  options.max_calls_per_user = config.containers.max_calls_per_user;
  options.limits = {config.containers.memory_limit_bytes, config.containers.cpu_limit};
  for (const std::string& text : config.containers.profiles) {
    if (const auto profile = config::ParseProfile(text)) {
      options.profiles[profile->name] = {profile->memory_bytes, profile->cpu_cores};
    }
  }
  for (const config::AttachedDatabase& database : config.duckdb.attached_databases) {
    if (database.sqlite_path) options.sqlite_paths.push_back(*database.sqlite_path);
  }
  options.token_key = KeyFor(config, "pondpilot worker tokens");
  options.assignment_key = KeyFor(config, "pondpilot worker assignments");
  return options;
}

// Null when spans are not exported.
std::unique_ptr<telemetry::Tracer> TracerFor(const config::Config::Tracing& tracing,
                                             telemetry::Registry& metrics) {
  if (tracing.otlp_endpoint.empty()) return nullptr;
  Log(Level::kInfo, "Spans are exported", {{"endpoint", tracing.otlp_endpoint}});
  return telemetry::MakeOtlpTracer(
      {.endpoint = tracing.otlp_endpoint, .sample_ratio = tracing.sample_ratio, .version = PONDPILOT_VERSION},
      metrics);
}

// The longest that a call may wait for its worker.
std::chrono::milliseconds WorkerWait(const config::Config& config) {
  return config.containers.queue_timeout + config.containers.start_timeout;
}

size_t OpenCalls(const fleet::Fleet& fleet) {
  size_t calls = 0;
  for (const fleet::WorkerView& worker : fleet.Workers()) calls += worker.calls;
  return calls;
}

// Before workers of an earlier run are touched: it may still be running.
base::Result<void> CheckFree(const std::string& host, uint16_t port, const std::string& option) {
  asio::io_context context;
  asio::ip::tcp::acceptor acceptor(context);
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host, error);
  const asio::ip::tcp::endpoint endpoint(address, port);
  if (!error) acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(1, error);
  if (!error) return {};
  return base::Fail(base::ErrorCode::kUnavailable,
                    "The port " + host + ":" + std::to_string(port) + " can't be opened: " + error.message() +
                        ". Set " + option + " to a free port or end the process that holds it.");
}

std::string Joined(const std::vector<std::string>& keys) {
  std::string out;
  for (const std::string& key : keys) out += (out.empty() ? "" : ",") + key;
  return out;
}

// SIGTERM, SIGINT and SIGHUP are blocked in every thread and taken by the main thread alone.
sigset_t BlockSignals() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

}  // namespace

int Serve(const config::Loaded& loaded, const ReadConfiguration& read_again) {
  const config::Config& config = loaded.config;
  const base::Clock& clock = base::Clock::System();
  telemetry::SetThreshold(ToLevel(config.log.level));
  const sigset_t signals = BlockSignals();
  for (const std::string& warning : loaded.warnings) Log(Level::kWarn, warning);

  std::atomic<bool> lost{false};
  const std::unique_ptr<Backend> backend = ChooseBackend(config, [&lost] {
    Log(Level::kError, "The jailer, which starts workers for the proxy, has ended",
        {{"hint", "the proxy ends too, once its open calls have; started anew it can start workers again"}});
    lost.store(true);
    // The main thread takes it as it takes the one of an orchestrator.
    ::kill(::getpid(), SIGTERM);
  });
  fleet::GrpcWorkerControlFactory controls(config.duckdb);
  const auth::TokenVerifier verifier(config.security.jwt_secret, clock);
  const auth::TokenIssuer issuer(config.security.jwt_secret, clock);
  const base::TrustedProxies trusted(config.server.trusted_proxies);
  Budgets budgets(config.security.rate_limit, trusted, clock);

  telemetry::Registry metrics;
  FleetMetrics fleet_metrics(metrics);
  DoorMetrics door_metrics(metrics, PONDPILOT_VERSION);
  const std::unique_ptr<telemetry::Tracer> tracer = TracerFor(config.tracing, metrics);

  // Declared after what the fleet's coroutines use, and so destroyed, and joined, before it.
  Background background;
  launch::Launcher& launcher = backend->launcher();
  if (const auto prepared = background.Await(launcher.Prepare()); !prepared) {
    return Fail(backend->Explain(prepared.error()));
  }
  backend->LogReady();

  fleet::FleetOptions options = FleetOptionsFor(config);
  options.observer = &fleet_metrics;
  const auto fleet =
      fleet::Fleet::Create(background.executor(), std::move(options), launcher, controls, clock);
  fleet_metrics.Watch(*fleet);
  const std::string& host = config.server.host;
  if (const auto free = CheckFree(host, config.server.grpc_port, "server.grpc_port (GRPC_PORT)"); !free) {
    return Fail(free.error());
  }
  if (const auto free = CheckFree(host, config.server.port, "server.port (PORT)"); !free) {
    return Fail(free.error());
  }
  const uint16_t metrics_port = config.server.metrics_port;
  if (metrics_port != 0) {
    const auto free = CheckFree(config.server.metrics_host, metrics_port,
                                "server.metrics_port (METRICS_PORT) or server.metrics_host (METRICS_HOST)");
    if (!free) return Fail(free.error());
  }
  if (config.server.quack_port != 0) {
    if (const auto free = CheckFree(host, config.server.quack_port, "server.quack_port (QUACK_PORT)");
        !free) {
      return Fail(free.error());
    }
  }
  auto left = background.Await(launcher.Find());
  if (!left) return Fail(left.error());
  background.Await(fleet->Begin(std::move(*left)));
  ProxyHealth health(config, *backend, *fleet, clock);
  const auto draining = std::make_shared<std::atomic<bool>>(false);
  const auto worker_wait = std::make_shared<std::atomic<std::chrono::milliseconds>>(WorkerWait(config));
  const access::Gate gate(verifier, budgets.strangers(),
                          [&budgets](const auth::Principal& principal) { return budgets.Admit(principal); });
  std::atomic<std::chrono::milliseconds> grace{kDrainGrace};
  ProxyOperator operators(*fleet, [&grace](std::chrono::milliseconds asked) {
    grace = asked;
    // The main thread takes it as it takes the one of an orchestrator.
    ::kill(::getpid(), SIGTERM);
  });
  const http::Router router(AllRoutes({.gate = gate,
                                       .health = health,
                                       .operators = operators,
                                       .metrics = metrics,
                                       .issuer = issuer,
                                       .demo_token_limit = budgets.demo_tokens(),
                                       .demo_tokens = config.security.demo_tokens,
                                       .sql = {&gate, {fleet, &clock, draining, worker_wait}, {}},
                                       .quack = {&gate, fleet, &clock, draining, worker_wait},
                                       .ai = {.gate = &gate,
                                              .clock = &clock,
                                              .settings = config.ai,
                                              .observer = &door_metrics,
                                              .waits = {},
                                              .catalog = {},
                                              .offload = {}}}),
                            http::Cors(config.security.cors_allowed_origins));

  door_metrics.WatchRoutes(router);
  const http::Router metrics_router({admin::OpenMetricsRoute(metrics)}, http::Cors({}));
  // Servers that could not end in time leave coroutines behind, which use all of the above.
  const Background::Stopped stopped(background);

  grpc::RelayServices services;
  services.observer = &door_metrics;
  services.tracer = tracer.get();
  services.verifier = &verifier;
  services.admit = [&budgets](const auth::Principal& principal) { return budgets.Admit(principal).taken; };
  services.admit_stranger = [&budgets](std::string_view peer, std::string_view forwarded_for) {
    return budgets.AdmitStranger(peer, forwarded_for);
  };
  services.fleet = fleet;
  services.clock = &clock;
  services.session_key = KeyFor(config, "pondpilot session cookies");
  services.identifier_key = KeyFor(config, "pondpilot call identifiers");
  services.worker_wait = worker_wait;
  services.draining = draining;
  auto flight = grpc::FlightServer::Start(config.server.host, config.server.grpc_port, std::move(services));
  if (!flight) {
    background.Await(fleet->Shutdown());
    return Fail(flight.error());
  }
  Log(Level::kInfo, "gRPC (Arrow Flight SQL) listening",
      {{"host", config.server.host}, {"port", (*flight)->port()}});
  const http::ServerExtras extras{
      .observer = &door_metrics,
      .tracer = tracer.get(),
      .trusted = trusted,
      .is_callers = [&verifier](const http::Request& request) {
        return verifier.VerifyAuthorization(request.Header("Authorization")).has_value();
      }};
  const auto web =
      http::Server::Start(background.executor(), config.server.host, config.server.port, router, {}, extras);
  if (!web) {
    background.Await(fleet->Shutdown());
    return Fail(web.error());
  }
  Log(Level::kInfo, "HTTP listening", {{"host", config.server.host}, {"port", (*web)->port()}});
  std::shared_ptr<http::Server> metrics_web;
  if (metrics_port != 0) {
    auto started = http::Server::Start(background.executor(), config.server.metrics_host, metrics_port,
                                       metrics_router, {.connections = kMetricsConnections});
    if (!started) {
      background.Await(fleet->Shutdown());
      return Fail(started.error());
    }
    metrics_web = std::move(*started);
    Log(Level::kInfo, "Metrics listening",
        {{"host", config.server.metrics_host}, {"port", metrics_web->port()}});
  }
  // The same server at the port that DuckDB takes when none is given.
  std::shared_ptr<http::Server> quack;
  if (config.server.quack_port != 0) {
    auto started = http::Server::Start(background.executor(), config.server.host, config.server.quack_port,
                                       router, {}, extras);
    if (!started) {
      background.Await(fleet->Shutdown());
      return Fail(started.error());
    }
    quack = std::move(*started);
    Log(Level::kInfo, "Quack listening", {{"host", config.server.host}, {"port", quack->port()}});
  }

  config::Config current = config;
  const auto reload = [&] {
    const auto again = read_again();
    if (!again) {
      for (const std::string& problem : again.error()) {
        Log(Level::kError, "Configuration not reloaded", {{"error", problem}});
      }
      return;
    }
    const config::Changes changes = config::Compare(current, again->config);
    current = again->config;
    for (const std::string& warning : again->warnings) Log(Level::kWarn, warning);
    telemetry::SetThreshold(ToLevel(current.log.level));
    budgets.SetRate(current.security.rate_limit);
    fleet->Reconfigure(FleetOptionsFor(current),
                       [&controls, duckdb = current.duckdb] { controls.Reconfigure(duckdb); });
    worker_wait->store(WorkerWait(current));
    health.SetDatabases(current.duckdb.attached_databases);
    Log(Level::kInfo, "Configuration reloaded", {{"changed", Joined(changes.taken)}});
    if (!changes.needs_restart.empty()) {
      Log(Level::kWarn, "Changes that need a restart", {{"keys", Joined(changes.needs_restart)}});
    }
  };
  int received = 0;
  while (sigwait(&signals, &received) == 0 && received == SIGHUP) reload();
  Log(Level::kInfo, "Shutting down", {{"signal", received}});
  health.StartDraining();
  draining->store(true);
  // Calls that are open go on, and a result that one of them has announced may still be fetched. A further
  // signal means at once.
  const auto begun = clock.Now();
  auto last_call = begun;
  const timespec pause{0, 50'000'000};
  while (clock.Now() < begun + grace.load() && clock.Now() < last_call + kQuiet) {
    const int further = sigtimedwait(&signals, nullptr, &pause);
    if (further == SIGTERM || further == SIGINT) {
      Log(Level::kInfo, "Shutting down at once", {{"signal", further}});
      break;
    }
    if (OpenCalls(*fleet) > 0) last_call = clock.Now();
  }
  // At once: the fleet tells those who wait for a worker, the relay those who have one.
  auto fleet_ended = background.Begin(fleet->Shutdown());
  (*flight)->Shutdown(kLastWords);
  fleet_ended.get();
  flight->reset();
  background.Await((*web)->Stop(kHttpGrace));
  if (metrics_web) background.Await(metrics_web->Stop(std::chrono::milliseconds(0)));
  if (quack) background.Await(quack->Stop(kHttpGrace));
  Log(Level::kInfo, "Stopped");
  return lost.load() ? kExitEnvironment : kExitOk;
}

}  // namespace pondpilot::proxy
