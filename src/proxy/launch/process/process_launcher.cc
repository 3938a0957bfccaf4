#include "proxy/launch/process/process_launcher.h"

#include <signal.h>

#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <filesystem>
#include <format>
#include <limits>
#include <system_error>
#include <utility>

#include "telemetry/log.h"

namespace pondpilot::proxy::launch::process {
namespace {

namespace asio = boost::asio;
using base::ErrorCode;
using base::Fail;
using jail::Message;
using std::chrono::milliseconds;
using std::chrono::seconds;

// The jailer tries each layer before it says hello, and gives its zygote ten seconds to get ready.
constexpr milliseconds kHello = seconds(30);
// One request waits for those before it; a start takes some milliseconds.
constexpr milliseconds kPatience = seconds(30);
// From SIGKILL to the news that it is gone: the kernel frees its memory meanwhile.
constexpr milliseconds kDeath = seconds(15);

// "PROCESS-START-WORKER": says which process it was, also to a later proxy, and never means another.
std::string HandleOf(const WorkerRecord& record) {
  return std::format("{}-{}-{}", record.key.process, record.key.start, record.worker_id);
}

struct Parsed {
  ProcessKey key;
  std::string worker_id;
};

std::optional<Parsed> ParseHandle(const std::string& handle) {
  Parsed parsed;
  const char* const end = handle.data() + handle.size();
  const auto process = std::from_chars(handle.data(), end, parsed.key.process);
  if (process.ec != std::errc() || process.ptr == end || *process.ptr != '-') return std::nullopt;
  const auto start = std::from_chars(process.ptr + 1, end, parsed.key.start);
  if (start.ec != std::errc() || start.ptr == end || *start.ptr != '-') return std::nullopt;
  parsed.worker_id.assign(start.ptr + 1, end);
  return parsed;
}

Message SignalRequest(ProcessKey key, int number) {
  return Message{"signal", {}}
      .Add("pid", key.process)
      .Add("start", key.start)
      .Add("number", static_cast<uint64_t>(number));
}

void AddFiles(Message& request, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::error_code error;
      if (std::filesystem::is_regular_file(path + suffix, error)) request.Add("file", path + suffix);
    }
  }
}

base::Error JailerIsGone() {
  return {ErrorCode::kUnavailable,
          "The jailer, which starts workers for the proxy, has ended. Restart the proxy.",
          {},
          {}};
}

}  // namespace

asio::awaitable<base::Result<void>> ProcessLauncher::Prepare() {
  auto connected = JailerClient::Connect(options_.jailer);
  if (!connected) co_return std::unexpected(std::move(connected.error()));
  jailer_ = std::move(*connected);
  const auto hello =
      co_await jailer_->Ask(Message{"hello", {}}.Add("zygote", options_.zygote ? 1U : 0U), -1, kHello);
  if (!hello) co_return std::unexpected(hello.error());
  const std::string* report = hello->Find("report");
  const std::string* program = hello->Find("program");
  const auto decoded = report != nullptr ? jail::DecodeReport(*report) : std::nullopt;
  if (!decoded || program == nullptr) {
    co_return Fail(ErrorCode::kFailedPrecondition,
                   "The jailer is of another build than the proxy: use one image.");
  }
  report_ = *decoded;
  program_ = *program;
  if (const std::string* zygote = hello->Find("zygote")) zygote_ = *zygote;
  if (auto fulfilled = CheckRequired(); !fulfilled) co_return fulfilled;
  auto folders = WorkerFolders::Open(options_.state_folders, options_.instance);
  if (!folders) co_return std::unexpected(std::move(folders.error()));
  folders_ = std::move(*folders);
  co_return base::Result<void>();
}

base::Result<void> ProcessLauncher::CheckRequired() const {
  std::string missing;
  for (const std::string& name : options_.require) {
    const auto layer = jail::LayerOf(name);
    if (layer && report_[*layer].applied) continue;
    missing +=
        (missing.empty() ? "" : "; ") + name + " (" + (layer ? report_[*layer].reason : "unknown") + ")";
  }
  if (missing.empty()) return {};
  return Fail(
      ErrorCode::kFailedPrecondition,
      "containers.require (CONTAINER_REQUIRE) asks for isolation of workers that this system denies: " +
          missing + ". Grant it, or take it off the list.");
}

asio::awaitable<bool> ProcessLauncher::Adopt(WorkerRecord record) {
  Message request{"adopt", {}};
  request.Add("id", record.worker_id)
      .Add("pid", record.key.process)
      .Add("start", record.key.start)
      .Add("user", record.user);
  jailer_->Track(record.key);
  const auto adopted = co_await jailer_->Ask(std::move(request), -1, kPatience);
  if (!adopted) jailer_->Forget(record.key);
  co_return adopted.has_value();
}

LaunchedWorker ProcessLauncher::Describe(const WorkerRecord& record) const {
  return LaunchedWorker{.worker_id = record.worker_id,
                        .handle = HandleOf(record),
                        .address = "unix:" + folders_->SocketPath(record.worker_id)};
}

asio::awaitable<base::Result<std::vector<FoundWorker>>> ProcessLauncher::Find() {
  std::vector<FoundWorker> found;
  for (WorkerRecord& record : folders_->All()) {
    const bool runs = co_await Adopt(record);
    if (runs) {
      found.push_back({.worker = Describe(record), .user_digest = record.user_digest, .running = true});
      continue;
    }
    // Gone, or the machine was started anew; what it spilled to disk may still be there.
    (void)co_await jailer_->Ask(Message{"clear", {}}.Add("id", record.worker_id), -1, kPatience);
    folders_->Remove(record.worker_id);
  }
  co_return found;
}

asio::awaitable<base::Result<void>> ProcessLauncher::Check() {
  if (jailer_->alive()) co_return base::Result<void>();
  co_return std::unexpected(JailerIsGone());
}

asio::awaitable<base::Result<LaunchedWorker>> ProcessLauncher::Launch(WorkerSpec spec) {
  // It takes milliseconds, and a worker that was started must not be lost on the way.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  const std::string worker_id = spec.worker_id;
  auto launched = co_await Start(std::move(spec));
  if (!launched) folders_->Remove(worker_id);
  co_return launched;
}

asio::awaitable<base::Result<LaunchedWorker>> ProcessLauncher::Start(WorkerSpec spec) {
  const auto begun = std::chrono::steady_clock::now();
  auto socket = folders_->Make(spec.worker_id);
  if (!socket) co_return std::unexpected(std::move(socket.error()));
  Message request{"launch", {}};
  request.Add("id", spec.worker_id)
      .Add("token", spec.token_sha256)
      .Add("memory", spec.memory_limit_bytes)
      .Add("cores", std::format("{}", spec.cpu_limit));
  AddFiles(request, spec.sqlite_paths);
  // Should the answer come too late, nobody assigns that worker to anybody, and it ends by itself.
  const auto answer = co_await jailer_->Ask(std::move(request), socket->get(), kPatience);
  if (!answer) {
    co_return Fail(ErrorCode::kUnavailable, "A worker could not be started.", answer.error().message);
  }
  const auto process = answer->Number("pid");
  const auto start = answer->Number("start");
  const auto user = answer->Number("user");
  if (!process || !start || !user) co_return Fail(ErrorCode::kInternal, "The jailer's answer can't be read.");
  const WorkerRecord record{.worker_id = spec.worker_id,
                            .key = {*process, *start},
                            .user = *user,
                            .user_digest = spec.user_id.empty() ? "" : UserDigest(spec.user_id)};
  jailer_->Track(record.key);
  if (const auto remembered = folders_->Remember(record); !remembered) {
    (void)co_await Stop(HandleOf(record), milliseconds(0));
    co_return std::unexpected(remembered.error());
  }
  LaunchedWorker worker = Describe(record);
  worker.start_time = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun);
  co_return worker;
}

asio::awaitable<base::Result<void>> ProcessLauncher::Stop(std::string handle, milliseconds grace) {
  const auto worker = ParseHandle(handle);
  if (!worker) co_return base::Result<void>();
  if (!jailer_->alive()) {
    // Nobody can signal it: it ends when its lease does, or with the container that it shares with the proxy.
    folders_->Remove(worker->worker_id);
    co_return base::Result<void>();
  }
  // A signal that finds nobody is as good: the news of the end is what counts.
  std::optional<WorkerExit> ended;
  if (grace.count() > 0) {
    (void)co_await jailer_->Ask(SignalRequest(worker->key, SIGTERM), -1, kPatience);
    ended = co_await jailer_->AwaitExit(worker->key, grace);
  }
  if (!ended) {
    const auto killed = co_await jailer_->Ask(SignalRequest(worker->key, SIGKILL), -1, kPatience);
    if (!killed && killed.error().code != ErrorCode::kFailedPrecondition)
      co_return std::unexpected(killed.error());
    ended = co_await jailer_->AwaitExit(worker->key, kDeath);
  }
  if (!ended) {
    co_return Fail(ErrorCode::kUnavailable, "A worker does not end, though it was killed.",
                   "process " + handle);
  }
  folders_->Remove(worker->worker_id);
  jailer_->Forget(worker->key);
  co_return base::Result<void>();
}

asio::awaitable<base::Result<WorkerExit>> ProcessLauncher::WaitForExit(std::string handle) {
  const auto worker = ParseHandle(handle);
  if (!worker) co_return WorkerExit{.exit_code = 128 + SIGKILL};
  const auto ended = co_await jailer_->AwaitExit(worker->key, std::nullopt);
  if (ended) co_return *ended;
  // Its workers live on; nobody hears any more how they end.
  if (!jailer_->alive()) co_return std::unexpected(JailerIsGone());
  co_return Fail(ErrorCode::kCancelled, "The wait for a worker's end was ended.");
}

}  // namespace pondpilot::proxy::launch::process
