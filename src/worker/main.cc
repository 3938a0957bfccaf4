#include <arrow/flight/server.h>
#include <arrow/memory_pool.h>
#include <grpcpp/server_builder.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/hex.h"
#include "base/lock_checks.h"
#include "base/secret.h"
#include "contract/names.h"
#include "jail/seccomp.h"
#include "jail/zygote.h"
#include "telemetry/log.h"
#include "worker/airport/airport_door.h"
#include "worker/control/control_service.h"
#include "worker/control/stop_watchdog.h"
#include "worker/documents/sql_service.h"
#include "worker/engine/allocator.h"
#include "worker/engine/deep_stack.h"
#include "worker/engine/engine.h"
#include "worker/engine/reachability.h"
#include "worker/flight/flight_service.h"
#include "worker/flight/handed_socket.h"
#include "worker/flight/log_names.h"
#include "worker/flight/quiet_grpc.h"
#include "worker/flight/server_limits.h"
#include "worker/flight/worker_token.h"
#include "worker/quack/quack_service.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker {
namespace {

using std::chrono::milliseconds;
using telemetry::Level;
using telemetry::Log;

constexpr int kExitOk = 0;
constexpr int kExitConfiguration = 2;
constexpr int kExitEnvironment = 3;
constexpr int kExitForced = 4;

// Statements that run when SIGTERM comes may go on for this long.
constexpr std::chrono::seconds kStopGrace(5);
// What is not over this long after that is ended with the process.
constexpr std::chrono::seconds kForcedAfter(3);

// The proxy gives the socket as soon as the engine has told it that the worker runs.
constexpr std::chrono::seconds kSocketWait(10);

constexpr std::string_view kUnixListen = "unix:";

struct Settings {
  std::string worker_id;
  std::string token_sha256;
  std::string socket;                    // empty: none
  std::optional<int> socket_descriptor;  // of one that was inherited
  std::string listen = "0.0.0.0:" + std::to_string(contract::kWorkerPort);
  engine::Limits limits{0, 0, "/var/lib/pondpilot/spill"};
};

// The variable's value; nullopt and a complaint on standard error when it is missing.
std::optional<std::string> Required(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before threads start
  if (value != nullptr && *value != '\0') return value;
  std::cerr << "pondpilot-worker: " << name
            << " is not set. Workers are started by the proxy, which sets it.\n";
  return std::nullopt;
}

template <typename T>
std::optional<T> Number(const char* name, T least, T most) {
  const auto text = Required(name);
  if (!text) return std::nullopt;
  T value{};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error == std::errc() && end == text->data() + text->size() && value >= least && value <= most) {
    return value;
  }
  std::cerr << "pondpilot-worker: " << name << " is \"" << *text << "\"; allowed: a number from " << least
            << " to " << most << ".\n";
  return std::nullopt;
}

std::optional<Settings> ReadSettings() {
  Settings settings;
  const auto id = Required(contract::kWorkerIdEnv);
  const auto token = Required(contract::kWorkerTokenSha256Env);
  const auto memory = Number<uint64_t>(contract::kMemoryBytesEnv, 64 << 20, 64ull << 40);
  const auto cores = Number<double>(contract::kCpuCoresEnv, 0.01, 1024);
  if (!id || !token || !memory || !cores) return std::nullopt;
  if (token->size() != 64 || !base::FromHex(*token)) {
    std::cerr << "pondpilot-worker: " << contract::kWorkerTokenSha256Env
              << " is not a SHA-256 digest in hex.\n";
    return std::nullopt;
  }
  settings.worker_id = *id;
  settings.token_sha256 = *token;
  settings.limits.memory_bytes = *memory;
  settings.limits.cpu_cores = *cores;
  // NOLINTBEGIN(concurrency-mt-unsafe): before threads start
  if (std::getenv(contract::kSocketDescriptorEnv) != nullptr) {
    settings.socket_descriptor = Number<int>(contract::kSocketDescriptorEnv, 3, 1 << 20);
    if (!settings.socket_descriptor) return std::nullopt;
  }
  if (const char* socket = std::getenv(contract::kSocketEnv)) settings.socket = socket;
  if (const char* listen = std::getenv(contract::kListenEnv)) settings.listen = listen;
  if (const char* spill = std::getenv(contract::kSpillDirEnv)) settings.limits.spill_dir = spill;
  // NOLINTEND(concurrency-mt-unsafe)
  struct stat info{};
  if (::stat(settings.limits.spill_dir.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    std::cerr << "pondpilot-worker: the spill folder " << settings.limits.spill_dir << " does not exist.\n";
    return std::nullopt;
  }
  return settings;
}

void BoundResolver() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before threads start
  ::setenv("RES_OPTIONS", engine::kResolverOptions, 0);
}

// Freed memory must go back: what the process keeps counts against its limit, and the next statement needs
// it.
void TuneAllocator() {
  // NOLINTBEGIN(concurrency-mt-unsafe): before threads start
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 16 << 20);
  // Arrow's own pools reserve address space, which counts against the data limit. Arrow reads this when its
  // first pool is made.
  ::setenv("ARROW_DEFAULT_MEMORY_POOL", "system", 1);
  // NOLINTEND(concurrency-mt-unsafe)
}

// The C library keeps the stacks of threads that have ended, up to 40 MiB, for the next ones. With these,
// calls find a thread also while a statement holds all the memory that the process may have.
void KeepStacksReady() {
  engine::KeepDeepStacksReady();
  constexpr int kStacks = 4;
  std::latch all(kStacks);
  std::vector<std::jthread> threads;
  threads.reserve(kStacks);
  try {
    for (int i = 0; i < kStacks; ++i) threads.emplace_back([&all] { all.arrive_and_wait(); });
  } catch (const std::system_error&) {
    // A small worker has no room for all of them: it keeps those it could make.
  }
  all.count_down(kStacks - static_cast<std::ptrdiff_t>(threads.size()));
}

// Wakes AwaitEnd, which looks again for what it waits for.
constexpr int kLookAgain = SIGUSR1;
void LookAgain() { (void)::kill(::getpid(), kLookAgain); }

// Waits for SIGTERM, for the end of the lease, or, once the proxy has asked the worker to end, for the end of
// the last statement; says which it was. Sleeps meanwhile: a hundred idle workers shall cost nothing.
const char* AwaitEnd(const sigset_t& signals, const control::Lease& lease,
                     const session::StatementRunner& runner) {
  constexpr milliseconds kWhileDraining(200);
  constexpr milliseconds kAtMost = std::chrono::hours(1);
  for (;;) {
    if (lease.Expired()) return "lease_expired";
    const bool draining = runner.draining();
    if (draining && runner.activity().AwaitNone(milliseconds(0))) return "drained";
    // It has expired a moment after it lasts no longer.
    const milliseconds rest = draining ? kWhileDraining : std::min(lease.Left() + milliseconds(1), kAtMost);
    const timespec pause{.tv_sec = rest.count() / 1000, .tv_nsec = rest.count() % 1000 * 1'000'000};
    const int taken = ::sigtimedwait(&signals, nullptr, &pause);
    if (taken > 0 && taken != kLookAgain) return "signal";
  }
}

std::unique_ptr<flight::HandedSocket> TakeSocket(const Settings& settings) {
  if (settings.socket_descriptor) {
    return flight::HandedSocket::Take(base::Descriptor(*settings.socket_descriptor));
  }
  return settings.socket.empty() ? nullptr : flight::HandedSocket::Ask(settings.socket, kSocketWait);
}

arrow::Result<arrow::flight::Location> LocationOf(const std::string& listen) {
  if (listen.starts_with(kUnixListen)) {
    return arrow::flight::Location::ForGrpcUnix(listen.substr(kUnixListen.size()));
  }
  return arrow::flight::Location::Parse("grpc://" + listen);
}

// Ends the server, whichever way it goes, before the control service ends, and with it the queue of its
// calls. The server itself must outlive that.
class ServerEnd {
 public:
  explicit ServerEnd(flight::FlightService& service) : service_(service) {}
  ~ServerEnd() {
    const auto deadline = std::chrono::system_clock::now() + kStopGrace;
    (void)service_.Shutdown(&deadline);
  }
  ServerEnd(const ServerEnd&) = delete;
  ServerEnd& operator=(const ServerEnd&) = delete;

 private:
  flight::FlightService& service_;
};

// `prepared`: from the zygote that this process was forked from; nullptr when it was not.
int Serve(const Settings& settings, const sigset_t& signals,
          std::unique_ptr<engine::PreparedEngine> prepared) {
  const base::Clock& clock = base::Clock::System();
  if (const auto limited = engine::LimitProcessMemory(settings.limits); !limited) {
    std::cerr << "pondpilot-worker: " << limited.error().message << "\n";
    return kExitEnvironment;
  }
  auto engine = prepared ? prepared->Start(settings.limits) : engine::Engine::Open(settings.limits);
  if (!engine) {
    std::cerr << "pondpilot-worker: " << engine.error().message << " " << engine.error().detail << "\n";
    return kExitEnvironment;
  }
  flight::QuietGrpc();
  session::StatementRunner runner(**engine, clock, flight::TickGrpcTimers);
  documents::SqlService documents(**engine, runner, settings.token_sha256);
  quack::QuackService quack(runner, clock, settings.token_sha256);
  flight::FlightService service(runner);
  airport::AirportDoor airport(runner);
  service.AddDoor(airport);
  control::Lease lease(clock, std::chrono::seconds(contract::kUnassignedSeconds));
  control::ControlService control(
      **engine, runner, lease, settings.token_sha256,
      [&] {
        service.StartServing();
        documents.StartServing();
        quack.StartServing();
      },
      LookAgain);

  const auto socket = TakeSocket(settings);
  if (!socket && settings.socket_descriptor) {
    std::cerr << "pondpilot-worker: " << contract::kSocketDescriptorEnv << " is "
              << *settings.socket_descriptor << ", which is no listening socket.\n";
    return kExitConfiguration;
  }
  // Flight must listen somewhere; with a socket that is where nobody but this container itself can come.
  const bool own_port = socket && !settings.listen.starts_with(kUnixListen);
  const std::string listen = own_port ? "127.0.0.1:0" : settings.listen;
  auto location = LocationOf(listen);
  if (!location.ok()) {
    std::cerr << "pondpilot-worker: " << contract::kListenEnv << " is \"" << settings.listen
              << "\"; allowed: host:port, or unix: and an absolute path.\n";
    return kExitConfiguration;
  }
  arrow::flight::FlightServerOptions options(*location);
  options.middleware.emplace_back("worker-token", flight::RequireWorkerToken(settings.token_sha256));
  options.middleware.emplace_back("log-names", flight::NameCallsInLog());
  options.builder_hook = [&](void* raw) {
    auto* builder = static_cast<grpc::ServerBuilder*>(raw);
    flight::ApplyServerLimits(*builder);
    control.AttachTo(*builder);
    builder->RegisterService(&documents);
    builder->RegisterService(&quack);
    if (socket) socket->AttachTo(*builder);
  };
  // gRPC serves from here on, on threads of its own. Serve() would add two that wait for the end and for
  // signals, which are the main thread's business.
  if (const auto started = service.Init(options); !started.ok()) {
    std::cerr << "pondpilot-worker: " << listen << " can't be listened on: " << started.message() << "\n";
    return kExitEnvironment;
  }
  const ServerEnd end(service);
  // Nobody has any business at it: all calls come over the socket that was given.
  if (socket && !own_port) (void)::unlink(listen.c_str() + kUnixListen.size());
  if (settings.socket_descriptor) {
    // Before anybody's statement runs. In a container this is the engine's business.
    if (const std::string failed = jail::GiveUpStarting(); !failed.empty()) {
      std::cerr << "pondpilot-worker: its system calls can't be restricted: " << failed << "\n";
      return kExitEnvironment;
    }
  }
  control.Start();
  if (socket) socket->Start();
  KeepStacksReady();
  Log(Level::kInfo, "Worker ready",
      {{"worker_id", settings.worker_id}, {"listen", socket ? "unix" : listen}});
  const char* reason = AwaitEnd(signals, lease, runner);
  Log(Level::kInfo, "Worker stopping", {{"reason", reason}});
  control::ForceExitAfter(kStopGrace + kForcedAfter, kExitForced);
  runner.Drain();
  if (socket) socket->Stop();
  return kExitOk;
}

// Becomes a zygote, which returns in each of the workers that it forks, with what it has prepared for them;
// nullptr in the zygote itself, when it is to end.
std::unique_ptr<engine::PreparedEngine> ForkFromZygote(char** arguments) {
  if (!jail::BeginZygote()) return nullptr;
  const auto refuse = [](const base::Error& error) {
    jail::RefuseToFork(error.message + " " + error.detail);
    return nullptr;
  };
  // Nothing is spilled to disk by it.
  if (const auto rehearsed = engine::PreparedEngine::Rehearse("/nonexistent"); !rehearsed)
    return refuse(rehearsed.error());
  auto prepared = engine::PreparedEngine::Open();
  if (!prepared) return refuse(prepared.error());
  base::LoadCryptography();
  // What the rehearsal has left would be copied by whoever writes to it.
  engine::ReleaseFreedMemory();
  if (!jail::ForkWorkers(arguments)) return nullptr;
  base::ReseedRandom();
  return std::move(*prepared);
}

}  // namespace
}  // namespace pondpilot::worker

int main(int argc, char** argv) {
  using namespace pondpilot::worker;
  TuneAllocator();
  engine::UseSmallThreadStacks();
  pondpilot::base::SkipLockOrderChecks();
  std::unique_ptr<engine::PreparedEngine> prepared;
  if (argc > 1 && argv[1] == pondpilot::jail::kZygoteArgument) {
    try {
      prepared = ForkFromZygote(argv);
    } catch (const std::exception& failure) {
      std::cerr << "pondpilot-worker: the zygote failed: " << failure.what() << "\n";
      return kExitEnvironment;
    }
    if (!prepared) return kExitOk;
    // The worker's environment is another one.
    TuneAllocator();
  }
  BoundResolver();
  signal(SIGPIPE, SIG_IGN);
  // Blocked in every thread and taken by the main thread alone.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, kLookAgain);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const auto settings = ReadSettings();
  if (!settings) return kExitConfiguration;
  try {
    return Serve(*settings, signals, std::move(prepared));
  } catch (const std::exception& failure) {
    std::cerr << "pondpilot-worker: " << failure.what() << "\n";
    return kExitEnvironment;
  }
}
