#include "proxy/backend.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "contract/names.h"
#include "jail/layers.h"
#include "proxy/launch/docker/docker_launcher.h"
#include "proxy/launch/process/process_launcher.h"
#include "telemetry/log.h"

namespace pondpilot::proxy {
namespace {

namespace fs = std::filesystem;
using telemetry::Level;
using telemetry::Log;

// Nothing else sets two proxies on one machine apart where they have no container of their own.
std::string PlaceOf(const config::Config& config) {
  return std::to_string(config.server.port) + "-" + std::to_string(config.server.grpc_port);
}

std::optional<int> InheritedJailer() {
  const char* text =
      std::getenv(contract::kJailerDescriptorEnv);  // NOLINT(concurrency-mt-unsafe): at the start
  if (text == nullptr) return std::nullopt;
  const std::string_view number = text;
  int descriptor = -1;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), descriptor);
  struct stat info{};
  const bool valid = error == std::errc() && end == number.data() + number.size() && descriptor > 2 &&
                     ::fstat(descriptor, &info) == 0 && S_ISSOCK(info.st_mode);
  return valid ? std::optional(descriptor) : std::nullopt;
}

class DockerBackend final : public Backend {
 public:
  explicit DockerBackend(const config::Config& config) : config_(config), launcher_(OptionsFor(config)) {
    // Not needed: the jailer ends, and with it the rights that it was kept for.
    if (const auto jailer = InheritedJailer()) {
      // It is this process's child; nobody waits for it.
      (void)::signal(SIGCHLD, SIG_IGN);
      (void)::close(*jailer);
    }
  }

  std::string name() const override { return "docker"; }
  launch::Launcher& launcher() override { return launcher_; }
  void LogReady() const override {
    Log(Level::kInfo, "Docker engine ready",
        {{"network", launcher_.network()},
         {"instance", launcher_.instance()},
         {"transport", launcher_.transport()},
         {"image", config_.containers.image}});
  }
  base::Error Explain(base::Error error) const override {
    error.message +=
        " Or have workers run as processes beside the proxy, without Docker: containers.backend: process "
        "(CONTAINER_BACKEND=process).";
    return error;
  }
  std::string unavailable_reason() const override {
    return "Workers can't be started: the Docker engine does not answer as it should. The proxy's log says "
           "more.";
  }

 private:
  static launch::docker::DockerOptions OptionsFor(const config::Config& config) {
    launch::docker::DockerOptions docker;
    docker.socket = config.containers.docker_socket;
    docker.image = config.containers.image;
    docker.network = config.containers.network;
    docker.instance = config.containers.instance;
    docker.socket_folder = contract::kSocketFolder;
    docker.place = PlaceOf(config);
    return docker;
  }

  const config::Config& config_;
  launch::docker::DockerLauncher launcher_;
};

class ProcessBackend final : public Backend {
 public:
  ProcessBackend(const config::Config& config, bool asked_for, std::function<void()> lost)
      : config_(config), asked_for_(asked_for), launcher_(OptionsFor(config, std::move(lost))) {
    // Where workers have no user id of their own, they must not look into the proxy all the same; and a core
    // dump would hold its secrets.
    (void)::prctl(PR_SET_DUMPABLE, 0);
  }

  std::string name() const override { return "process"; }
  launch::Launcher& launcher() override { return launcher_; }
  void LogReady() const override {
    std::string on;
    std::string off;
    for (size_t i = 0; i < jail::kLayerCount; ++i) {
      const auto layer = static_cast<jail::Layer>(i);
      const jail::Report::State& state = launcher_.report()[layer];
      std::string& list = state.applied ? on : off;
      list += (list.empty() ? "" : state.applied ? "," : "; ") + std::string(ToString(layer));
      if (!state.reason.empty() && !state.applied) list += ": " + state.reason;
      if (!state.reason.empty() && state.applied)
        off += (off.empty() ? "" : "; ") + (std::string(ToString(layer)) + " without " + state.reason);
    }
    Log(Level::kInfo, "Worker processes ready",
        {{"program", launcher_.program()},
         {"sockets", launcher_.folder()},
         {"layers", on},
         {"zygote", launcher_.zygote()}});
    if (config_.containers.zygote && launcher_.zygote() != "ready") {
      Log(Level::kWarn, "There is no zygote that forks worker processes",
          {{"reason", launcher_.zygote()},
           {"hint", "workers run their program by themselves until there is one, which is slower"}});
    }
    if (!off.empty()) {
      Log(Level::kWarn, "This system denies workers a part of their isolation",
          {{"denied", off}, {"hint", "docs/security.md says what each layer is for and how to grant it"}});
    }
  }
  base::Error Explain(base::Error error) const override {
    if (asked_for_) return error;
    error.message +=
        " Workers were to run as processes, because there is no Docker socket at " +
        config_.containers.docker_socket +
        ". To have them run in containers, mount it; in docker-compose.yml, under volumes: of the proxy:\n"
        "      - /var/run/docker.sock:/var/run/docker.sock";
    return error;
  }
  std::string unavailable_reason() const override {
    return "Workers can't be started: the jailer, which starts them for the proxy, has ended. Restart the "
           "proxy.";
  }
  std::string MissingIsolation() const override {
    std::string missing;
    for (size_t i = 0; i < jail::kLayerCount; ++i) {
      const auto layer = static_cast<jail::Layer>(i);
      if (launcher_.report()[layer].applied) continue;
      missing += (missing.empty() ? "" : ", ") + std::string(ToString(layer));
    }
    return missing;
  }

 private:
  static launch::process::ProcessOptions OptionsFor(const config::Config& config,
                                                    std::function<void()> lost) {
    launch::process::ProcessOptions options;
    options.jailer.lost = std::move(lost);
    options.jailer.descriptor = InheritedJailer();
    std::error_code ignored;
    options.jailer.program = fs::read_symlink("/proc/self/exe", ignored).parent_path() / "pondpilot-jailer";
    // A proxy that an ordinary user starts on a machine of their own finds the usual folders closed.
    const fs::path own = fs::path("/tmp") / ("pondpilot-" + std::to_string(::geteuid()));
    options.state_folders = {contract::kSocketFolder, own};
    if (!options.jailer.descriptor && ::geteuid() != 0) options.jailer.spill_folder = own / "spill";
    options.instance = config.containers.instance.empty() ? PlaceOf(config) : config.containers.instance;
    options.require = config.containers.require;
    options.zygote = config.containers.zygote;
    return options;
  }

  const config::Config& config_;
  const bool asked_for_;
  launch::process::ProcessLauncher launcher_;
};

}  // namespace

std::unique_ptr<Backend> ChooseBackend(const config::Config& config, std::function<void()> lost) {
  const std::string& wanted = config.containers.backend;
  std::error_code ignored;
  const bool docker =
      wanted == "docker" || (wanted == "auto" && fs::exists(config.containers.docker_socket, ignored));
  if (docker) return std::make_unique<DockerBackend>(config);
  return std::make_unique<ProcessBackend>(config, wanted == "process", std::move(lost));
}

}  // namespace pondpilot::proxy
