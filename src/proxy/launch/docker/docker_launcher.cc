#include "proxy/launch/docker/docker_launcher.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <set>
#include <utility>

#include "contract/names.h"
#include "proxy/launch/docker/container_spec.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::launch::docker {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kQuick = seconds(10);
// Creating, starting and removing take their time on a busy engine.
constexpr milliseconds kSlow = seconds(30);
constexpr milliseconds kStopMargin = seconds(15);
// One wait for an exit; it is followed by the next, so that a connection that has silently died is not waited
// on for ever.
constexpr milliseconds kExitWait = std::chrono::minutes(10);
constexpr milliseconds kFirstReconnect(200);
constexpr milliseconds kLongestReconnect = seconds(5);
// The exit code of what SIGKILL has ended.
constexpr int kKilled = 137;

bool IsOk(int status) { return status >= 200 && status < 300; }

// Without a tag the engine would pull every one.
std::string WithTag(const std::string& image) {
  const size_t name = image.rfind('/') == std::string::npos ? 0 : image.rfind('/') + 1;
  return image.find_first_of(":@", name) == std::string::npos ? image + ":latest" : image;
}

// The error that a pull's progress lines end with, or nothing.
std::string PullError(const std::string& progress) {
  std::string error;
  size_t begin = 0;
  while (begin < progress.size()) {
    const size_t end = std::min(progress.find('\n', begin), progress.size());
    boost::system::error_code malformed;
    const json::value line = json::parse(std::string_view(progress).substr(begin, end - begin), malformed);
    if (!malformed && !StringAt(line, "/error").empty()) error = StringAt(line, "/error");
    begin = end + 1;
  }
  return error;
}

}  // namespace

DockerLauncher::DockerLauncher(DockerOptions options, HostFacts facts)
    : options_(std::move(options)), facts_(std::move(facts)), engine_(options_.socket) {}

asio::awaitable<base::Result<void>> DockerLauncher::Prepare() {
  if (const auto agreed = co_await engine_.Negotiate(); !agreed) co_return agreed;
  auto self = co_await FindSelf(engine_, facts_);
  if (!self) co_return std::unexpected(std::move(self.error()));
  self_ = std::move(*self);
  instance_ = InstanceName();
  if (const auto found = co_await FindNetwork(); !found) co_return found;
  sockets_ = SocketFolders::Open(options_.socket_folder, instance_, self_);
  if (const auto found = co_await FindImage(); !found) co_return found;
  co_return base::Result<void>();
}

std::string DockerLauncher::InstanceName() const {
  if (!options_.instance.empty()) return options_.instance;
  if (!self_) return options_.place.empty() ? facts_.hostname : facts_.hostname + "/" + options_.place;
  const auto label = [this](const char* name) {
    const auto found = self_->labels.find(std::string("com.docker.compose.") + name);
    return found == self_->labels.end() ? std::string() : found->second;
  };
  // Stays the same when compose makes the container anew; the container's id does not.
  if (const std::string project = label("project"), service = label("service");
      !project.empty() && !service.empty()) {
    return project + "/" + service + "/" + label("container-number");
  }
  return self_->name;
}

asio::awaitable<base::Result<void>> DockerLauncher::FindImage() {
  const auto reply = co_await engine_.Get("/images/" + UrlEncode(options_.image) + "/json", kQuick);
  if (!reply) co_return std::unexpected(reply.error());
  if (reply->status == 200) co_return base::Result<void>();
  if (reply->status != 404)
    co_return std::unexpected(EngineError("show the image " + options_.image, *reply));
  co_return co_await PullImage();
}

asio::awaitable<base::Result<void>> DockerLauncher::PullImage() {
  telemetry::Log(telemetry::Level::kInfo, "Pulling the worker image", {{"image", options_.image}});
  const auto reply = co_await engine_.Post("/images/create?fromImage=" + UrlEncode(WithTag(options_.image)),
                                           std::nullopt, options_.pull_timeout);
  std::string reason;
  if (!reply) {
    reason = reply.error().message;
  } else if (reply->status != 200) {
    reason = EngineError("pull it", *reply).message;
  } else {
    reason = PullError(reply->text);
  }
  if (reason.empty()) co_return base::Result<void>();
  co_return base::Fail(
      ErrorCode::kFailedPrecondition,
      "The worker image " + options_.image + " is not on the Docker engine and can't be pulled: " + reason +
          " Build or load it (docker build, docker load), pull it yourself with `docker pull " +
          options_.image + "`, or set containers.image (CONTAINER_IMAGE) to one that is there.");
}

asio::awaitable<base::Result<void>> DockerLauncher::FindNetwork() {
  const auto on = [this](const std::string& name) { return std::ranges::contains(self_->networks, name); };
  // The default is Docker's default network. A proxy that is only on others could not reach a worker there.
  if (options_.network == "bridge" && self_ && !self_->networks.empty() && !on("bridge") && !on("host")) {
    network_ = self_->networks.front();
    co_return base::Result<void>();
  }
  const auto reply = co_await engine_.Get("/networks/" + UrlEncode(options_.network), kQuick);
  if (!reply) co_return std::unexpected(reply.error());
  // The engine also finds networks by the beginning of their id.
  if (reply->status == 200 && StringAt(reply->body, "/Name") == options_.network) {
    network_ = options_.network;
  } else if (reply->status != 200 && reply->status != 404) {
    co_return std::unexpected(EngineError("show the network " + options_.network, *reply));
  } else {
    auto composed = co_await ComposeNetwork();
    if (!composed) co_return std::unexpected(std::move(composed.error()));
    if (!*composed) co_return std::unexpected(co_await NoSuchNetwork());
    network_ = std::move(**composed);
  }
  // These have no addresses of their own to give: every worker would listen on the same port of the host, or
  // on none.
  if (network_ == "host" || network_ == "none") {
    co_return base::Fail(
        ErrorCode::kFailedPrecondition,
        "Workers can't run on the network " + network_ +
            ": each needs an address of its own. Set containers.network (CONTAINER_NETWORK) to "
            "a bridge network, for example bridge.");
  }
  if (self_ && !on(network_) && !on("host")) {
    telemetry::Log(
        telemetry::Level::kWarn, "The proxy's own container is not on the workers' network",
        {{"network", network_}, {"hint", "docker network connect " + network_ + " " + self_->name}});
  }
  co_return base::Result<void>();
}

// Compose prefixes the names of its networks and keeps the name in compose.yaml as a label.
asio::awaitable<base::Result<std::optional<std::string>>> DockerLauncher::ComposeNetwork() {
  if (!self_) co_return std::nullopt;
  for (const std::string& name : self_->networks) {
    const auto reply = co_await engine_.Get("/networks/" + UrlEncode(name), kQuick);
    if (!reply) co_return std::unexpected(reply.error());
    if (reply->status == 200 &&
        StringAt(reply->body, "/Labels/com.docker.compose.network") == options_.network) {
      co_return name;
    }
  }
  co_return std::nullopt;
}

asio::awaitable<base::Error> DockerLauncher::NoSuchNetwork() {
  std::string names;
  const auto reply = co_await engine_.Get("/networks", kQuick);
  if (reply && reply->body.is_array()) {
    for (const json::value& network : reply->body.get_array()) {
      names += (names.empty() ? "" : ", ") + StringAt(network, "/Name");
    }
  }
  co_return base::Error{
      ErrorCode::kFailedPrecondition,
      "The Docker engine has no network " + options_.network + ". It has: " + names +
          ". Set containers.network (CONTAINER_NETWORK) to one of them or make it with `docker "
          "network create " +
          options_.network + "`.",
      {},
      {}};
}

asio::awaitable<base::Result<std::vector<FoundWorker>>> DockerLauncher::Find() {
  const json::value filters =
      json::object{{"label", json::array{std::string(kManagedLabel) + "=true",
                                         std::string(kInstanceLabel) + "=" + instance_}}};
  const auto reply = co_await engine_.Get(
      "/containers/json?all=true&filters=" + UrlEncode(json::serialize(filters)), kQuick);
  if (!reply) co_return std::unexpected(reply.error());
  if (reply->status != 200 || !reply->body.is_array()) {
    co_return std::unexpected(EngineError("list containers", *reply));
  }
  std::vector<FoundWorker> found;
  std::set<std::string> running;
  for (const json::value& container : reply->body.get_array()) {
    FoundWorker worker;
    worker.worker.handle = StringAt(container, "/Id");
    if (worker.worker.handle.empty()) continue;
    worker.worker.worker_id = StringAt(container, "/Labels/" + std::string(kWorkerIdLabel));
    worker.user_digest = StringAt(container, "/Labels/" + std::string(kUserDigestLabel));
    worker.running = StringAt(container, "/State") == "running";
    worker.worker.address = AddressIn(container);
    if (worker.running) running.insert(worker.worker.worker_id);
    found.push_back(std::move(worker));
  }
  if (sockets_) {
    auto sockets = sockets_->Find(running);
    for (FoundWorker& worker : found) {
      const auto socket = sockets.find(worker.worker.worker_id);
      if (socket != sockets.end()) worker.worker.socket = std::move(socket->second);
    }
  }
  co_return found;
}

asio::awaitable<base::Result<void>> DockerLauncher::Check() { co_return co_await engine_.Ping(); }

// The engine takes a container's name wherever it takes its id.
std::string DockerLauncher::PossibleHandle(const std::string& worker_id) const {
  return "pondpilot-worker-" + worker_id;
}

asio::awaitable<base::Result<LaunchedWorker>> DockerLauncher::Launch(WorkerSpec spec) {
  const std::string name = PossibleHandle(spec.worker_id);
  base::Result<LaunchedWorker> launched = base::Fail(ErrorCode::kCancelled, "The launch was cancelled.");
  try {
    launched = co_await CreateAndStart(std::move(spec), name);
  } catch (const boost::system::system_error& error) {
    // A cancelled coroutine is told so by an exception at its next step.
    if (error.code() != asio::error::operation_aborted) {
      launched = base::Fail(ErrorCode::kInternal, "The launch failed.", error.what());
    }
  }
  if (!launched) {
    // Also when cancelled; it has a deadline of its own.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    // By its name: a creation that timed out may still have made it.
    if (const auto removed = co_await Remove(name); !removed) {
      launched.error().detail += " Its container could not be removed: " + removed.error().message;
    }
  }
  co_return launched;
}

asio::awaitable<base::Result<LaunchedWorker>> DockerLauncher::CreateAndStart(WorkerSpec spec,
                                                                             std::string name) {
  std::shared_ptr<WorkerSocket> socket;
  const auto begun = std::chrono::steady_clock::now();
  const auto created = co_await Create(spec, std::move(name), socket);
  if (!created) co_return std::unexpected(created.error());
  if (created->status != 201) co_return std::unexpected(EngineError("create a worker's container", *created));
  const std::string id = StringAt(created->body, "/Id");
  const auto created_at = std::chrono::steady_clock::now();
  const auto started = co_await engine_.Post("/containers/" + id + "/start", std::nullopt, kSlow);
  const auto started_at = std::chrono::steady_clock::now();
  if (!started) co_return std::unexpected(started.error());
  if (!IsOk(started->status)) co_return std::unexpected(EngineError("start a worker's container", *started));
  const auto inspected = co_await engine_.Get("/containers/" + id + "/json", kQuick);
  if (!inspected) co_return std::unexpected(inspected.error());
  if (inspected->status != 200)
    co_return std::unexpected(EngineError("show a worker's container", *inspected));
  const std::string address = AddressIn(inspected->body);
  if (address.empty()) {
    // A container that has ended at once has no address any more.
    co_return base::Fail(ErrorCode::kUnavailable, "The worker's container has no address on the network " +
                                                      network_ + "; its state is " +
                                                      StringAt(inspected->body, "/State/Status") + ".");
  }
  co_return LaunchedWorker{.worker_id = spec.worker_id,
                           .handle = id,
                           .address = address,
                           .socket = std::move(socket),
                           .create_time = std::chrono::duration_cast<milliseconds>(created_at - begun),
                           .start_time = std::chrono::duration_cast<milliseconds>(started_at - created_at)};
}

std::string DockerLauncher::AddressIn(const json::value& container) const {
  const std::string network = "/NetworkSettings/Networks/" + network_;
  const std::string ipv4 = StringAt(container, network + "/IPAddress");
  const std::string ipv6 = StringAt(container, network + "/GlobalIPv6Address");
  if (ipv4.empty() && ipv6.empty()) return {};
  return (ipv4.empty() ? "ipv6:[" + ipv6 + "]:" : "ipv4:" + ipv4 + ":") +
         std::to_string(contract::kWorkerPort);
}

asio::awaitable<base::Result<EngineReply>> DockerLauncher::Create(const WorkerSpec& spec, std::string name,
                                                                  std::shared_ptr<WorkerSocket>& socket) {
  const std::string path = "/containers/create?name=" + name;
  auto mounts = MountsFor(spec.sqlite_paths, self_, facts_);
  std::optional<base::Error> refused;
  if (sockets_ && sockets_->usable()) {
    auto folder = sockets_->Make(spec.worker_id);
    if (folder) {
      auto with_folder = mounts;
      with_folder.push_back(std::move(folder->mount));
      auto body = ContainerSpec(spec, options_.image, network_, instance_, with_folder, true);
      auto created = co_await engine_.Post(path, std::move(body), kSlow);
      if (!created || created->status != 400) {
        socket = std::move(folder->socket);
        co_return created;
      }
      refused = EngineError("mount the sockets' folder", *created);
    } else {
      // The network will do for this one.
      telemetry::Log(telemetry::Level::kWarn, "A worker is reached over the network, not over a socket",
                     {{"error", folder.error().message + " " + folder.error().detail}});
    }
  }
  auto body = ContainerSpec(spec, options_.image, network_, instance_, mounts, false);
  auto created = co_await engine_.Post(path, std::move(body), kSlow);
  // It was the folder, then: an engine in a virtual machine, say, that takes it for one of another machine.
  if (refused && created && created->status == 201) sockets_->GiveUp(*refused);
  co_return created;
}

asio::awaitable<base::Result<void>> DockerLauncher::Stop(std::string handle, milliseconds grace) {
  if (grace.count() > 0) {
    const auto whole = std::chrono::ceil<seconds>(grace);
    const auto reply =
        co_await engine_.Post("/containers/" + handle + "/stop?t=" + std::to_string(whole.count()),
                              std::nullopt, whole + kStopMargin);
    if (!reply) co_return std::unexpected(reply.error());
    if (reply->status == 404) co_return base::Result<void>();
    // Whatever else it answers, the removal that follows kills.
  }
  co_return co_await Remove(std::move(handle));
}

asio::awaitable<base::Result<void>> DockerLauncher::Remove(std::string container) {
  const auto reply = co_await engine_.Delete("/containers/" + container + "?force=true&v=true", kSlow);
  if (!reply) co_return std::unexpected(reply.error());
  if (IsOk(reply->status) || reply->status == 404) co_return base::Result<void>();
  if (reply->status != 409) co_return std::unexpected(EngineError("remove a container", *reply));
  // Somebody else is removing it: it is gone when the engine says so.
  const auto gone =
      co_await engine_.Post("/containers/" + container + "/wait?condition=removed", std::nullopt, kSlow);
  if (!gone) co_return std::unexpected(gone.error());
  if (IsOk(gone->status) || gone->status == 404) co_return base::Result<void>();
  co_return std::unexpected(EngineError("remove a container", *reply));
}

asio::awaitable<base::Result<WorkerExit>> DockerLauncher::WaitForExit(std::string handle) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  milliseconds pause = kFirstReconnect;
  while (true) {
    const auto reply = co_await engine_.Post("/containers/" + handle + "/wait", std::nullopt, kExitWait);
    // Nobody knows how it ended, only that somebody else has removed it.
    if (reply && reply->status == 404) co_return WorkerExit{.exit_code = kKilled};
    if (reply && reply->status == 200) {
      WorkerExit exit;
      boost::system::error_code missing;
      const json::value* code = reply->body.find_pointer("/StatusCode", missing);
      if (code && code->is_int64()) exit.exit_code = static_cast<int>(code->get_int64());
      // Removed meanwhile: then nobody knows more.
      const auto state = co_await engine_.Get("/containers/" + handle + "/json", kQuick);
      if (state && state->status == 200) {
        const json::value* oom = state->body.find_pointer("/State/OOMKilled", missing);
        exit.out_of_memory = oom && oom->is_bool() && oom->get_bool();
      }
      co_return exit;
    }
    if (reply && reply->status < 500) co_return std::unexpected(EngineError("wait for a container", *reply));
    if (!reply && reply.error().code == ErrorCode::kCancelled) co_return std::unexpected(reply.error());
    if (!reply && reply.error().code == ErrorCode::kDeadlineExceeded) continue;
    // The engine restarts, or is overloaded: its containers may well live on.
    timer.expires_after(pause);
    co_await timer.async_wait(asio::use_awaitable);
    pause = std::min(2 * pause, kLongestReconnect);
  }
}

}  // namespace pondpilot::proxy::launch::docker
