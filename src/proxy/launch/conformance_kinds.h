#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "base/temporary_folder.h"
#include "proxy/launch/docker/docker_launcher.h"
#include "proxy/launch/docker/fake_engine.h"
#include "proxy/launch/process/process_launcher.h"

// What the conformance suite runs over: each kind of worker, and how it is prepared to behave.
namespace pondpilot::proxy::launch {

namespace fs = std::filesystem;
namespace json = boost::json;
using docker::Await;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What a worker does instead of serving queries.
enum class Behaviour {
  kWaits,
  kWaitsStubbornly,
  kExitsWith3,
  kCrashes,
  kFillsMemory,
  kStartsThreads,
  kSpins
};

// One kind of worker: how it is prepared to behave, and what of it this system gives.
class Kind {
 public:
  virtual ~Kind() = default;
  // Why it can't be tested here; empty when it can.
  virtual std::string Missing() { return {}; }
  // A launcher that has been prepared, whose workers behave like that. The same instance each time.
  virtual std::unique_ptr<Launcher> Make(Behaviour behaviour) = 0;
  // One whose workers' program is nowhere.
  virtual std::unique_ptr<Launcher> MakeWithoutProgram() = 0;
  // Is there still anything of this worker?
  virtual bool LeftBehind(const LaunchedWorker& worker) = 0;
  virtual bool HasCgroups(Launcher& launcher) = 0;
  // Waits until a worker that ignores SIGTERM does so.
  virtual void AwaitStubborn(const LaunchedWorker&) {}
};

class Processes : public Kind {
 public:
  explicit Processes(bool zygote = false) : zygote_(zygote) { ::chmod(folder_.c_str(), 0711); }

  std::string Missing() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return "sanitizers reserve terabytes and make system calls that no worker may make";
#else
    return {};
#endif
  }
  std::unique_ptr<Launcher> Make(Behaviour behaviour) override {
    // A worker is started without arguments: the program's name says what it is to do.
    const fs::path program = folder_ / NameOf(behaviour);
    if (!fs::exists(program)) fs::copy_file(PONDPILOT_INTRUDER, program);
    return MakeWith(program);
  }
  std::unique_ptr<Launcher> MakeWithoutProgram() override { return MakeWith(folder_ / "nowhere"); }

  bool LeftBehind(const LaunchedWorker& worker) override {
    const std::string process = worker.handle.substr(0, worker.handle.find('-'));
    return Runs(process) || fs::exists(folder_ / "spill" / worker.worker_id) ||
           fs::exists(fs::path(worker.address.substr(5)).parent_path());
  }
  void AwaitStubborn(const LaunchedWorker& worker) override {
    constexpr uint64_t kTerm = 1U << (SIGTERM - 1);
    const std::string status = "/proc/" + worker.handle.substr(0, worker.handle.find('-')) + "/status";
    for (uint64_t ignored = 0; (ignored & kTerm) == 0;) {
      std::ifstream file(status);
      ASSERT_TRUE(file) << "it has ended";
      for (std::string line; std::getline(file, line);) {
        if (line.starts_with("SigIgn:")) ignored = std::stoull(line.substr(7), nullptr, 16);
      }
    }
  }
  bool HasCgroups(Launcher& launcher) override {
    return dynamic_cast<process::ProcessLauncher&>(launcher).report()[jail::Layer::kCgroup].applied;
  }

 private:
  static const char* NameOf(Behaviour behaviour) {
    switch (behaviour) {
      case Behaviour::kWaits:
        return "wait";
      case Behaviour::kWaitsStubbornly:
        return "wait stubbornly";
      case Behaviour::kExitsWith3:
        return "exit:3";
      case Behaviour::kCrashes:
        return "crash";
      case Behaviour::kFillsMemory:
        return "fill memory";
      case Behaviour::kStartsThreads:
        return "threads:700";
      case Behaviour::kSpins:
        return "spin:2";
    }
    return "";
  }

  // One that has ended and that nobody has collected yet does not run.
  static bool Runs(const std::string& process) {
    std::ifstream file("/proc/" + process + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const size_t name_end = text.rfind(')');
    return name_end != std::string::npos && text.compare(name_end, 4, ") Z ") != 0 &&
           text.compare(name_end, 4, ") X ") != 0;
  }

  std::unique_ptr<Launcher> MakeWith(const fs::path& program) {
    process::ProcessOptions options;
    options.jailer.program = PONDPILOT_JAILER;
    options.jailer.worker_program = program;
    options.jailer.spill_folder = folder_ / "spill";
    options.state_folders = {folder_};
    options.instance = "conformance";
    options.zygote = zygote_;
    return std::make_unique<process::ProcessLauncher>(std::move(options));
  }

  const bool zygote_;
  const base::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

class ForkedProcesses final : public Processes {
 public:
  ForkedProcesses() : Processes(true) {}
};

class Containers final : public Kind {
 public:
  ~Containers() override {
    if (!engine_) return;
    if (!images_.empty()) {
      options_.image = images_.front();
      docker::DockerLauncher cleaner(options_);
      EXPECT_TRUE(Await(cleaner.Prepare()));
      const auto left = Await(cleaner.Find());
      for (const FoundWorker& one : left.value_or(std::vector<FoundWorker>{})) {
        EXPECT_TRUE(Await(cleaner.Stop(one.worker.handle, milliseconds(0))));
      }
    }
    for (const std::string& image : images_)
      Call("DELETE", "/images/" + docker::UrlEncode(image) + "?force=true");
    Call("DELETE", "/networks/" + options_.network);
  }

  std::string Missing() override {
    const char* socket = std::getenv("PONDPILOT_TEST_DOCKER_SOCKET");  // NOLINT(concurrency-mt-unsafe)
    if (!socket) return "needs a Docker engine: ./dev test integration runs it over one";
    const char* image = std::getenv("PONDPILOT_TEST_DOCKER_IMAGE");  // NOLINT(concurrency-mt-unsafe)
    base_image_ = image ? image : "debian:forky";
    options_.socket = socket;
    engine_.emplace(socket);
    EXPECT_TRUE(Await(engine_->Negotiate()));
    options_.network = options_.instance = "pondpilot-launch-test-" + base::RandomHex(4);
    EXPECT_EQ(Call("POST", "/networks/create", json::object{{"Name", options_.network}}).status, 201);
    return {};
  }

  std::unique_ptr<Launcher> Make(Behaviour behaviour) override {
    // Never started: only its files are wanted.
    const auto created =
        Call("POST", "/containers/create", json::object{{"Image", base_image_}, {"Cmd", json::array{"sh"}}});
    const std::string id = docker::StringAt(created.body, "/Id");
    const std::string tag = base::RandomHex(4);
    const json::object config{{"Cmd", json::array{"sh", "-c", ScriptOf(behaviour)}}};
    const auto committed =
        Call("POST", "/commit?container=" + id + "&repo=" + options_.network + "&tag=" + tag, config);
    EXPECT_EQ(committed.status, 201) << committed.text;
    Call("DELETE", "/containers/" + id + "?force=true&v=true");
    options_.image = options_.network + ":" + tag;
    images_.push_back(options_.image);
    return std::make_unique<docker::DockerLauncher>(options_);
  }
  std::unique_ptr<Launcher> MakeWithoutProgram() override {
    docker::DockerOptions options = options_;
    options.image = "localhost:1/pondpilot/nothing:here";
    return std::make_unique<docker::DockerLauncher>(options);
  }

  bool LeftBehind(const LaunchedWorker& worker) override {
    return Call("GET", "/containers/" + worker.handle + "/json").status != 404;
  }
  bool HasCgroups(Launcher&) override { return true; }

 private:
  static const char* ScriptOf(Behaviour behaviour) {
    switch (behaviour) {
      case Behaviour::kWaits:
        return "trap 'exit 143' TERM; while :; do sleep 0.1; done";
      case Behaviour::kWaitsStubbornly:
        return "trap '' TERM; while :; do sleep 0.1; done";
      case Behaviour::kExitsWith3:
        // One that has ended at once has no address any more.
        return "sleep 1; exit 3";
      case Behaviour::kCrashes:
        return "sleep 1; exit 134";
      case Behaviour::kFillsMemory:
        return "sleep 1; exec tail /dev/zero";
      case Behaviour::kStartsThreads:
        // EAGAIN is what a process is told; a shell ends with 2.
        return "(i=0; while [ $i -lt 700 ]; do sleep 100 & i=$((i+1)); done) 2>/dev/null || exit 11";
      case Behaviour::kSpins:
        return "(while :; do :; done) & (while :; do :; done) & sleep 1; "
               "if [ -r /sys/fs/cgroup/cpu.stat ]; then used=$(awk '/^usage_usec/ {print $2}' "
               "/sys/fs/cgroup/cpu.stat); "
               "else used=$(($(cat /sys/fs/cgroup/cpuacct/cpuacct.usage) / 1000)); fi; exit $((used / "
               "10000))";
    }
    return "";
  }

  docker::EngineReply Call(const std::string& verb, const std::string& path,
                           std::optional<json::value> body = std::nullopt) {
    const auto reply = Await(verb == "GET"    ? engine_->Get(path, seconds(60))
                             : verb == "POST" ? engine_->Post(path, std::move(body), seconds(60))
                                              : engine_->Delete(path, seconds(60)));
    EXPECT_TRUE(reply) << reply.error().message;
    return reply ? *reply : docker::EngineReply{};
  }

  std::optional<docker::EngineClient> engine_;
  docker::DockerOptions options_;
  std::string base_image_;
  std::vector<std::string> images_;
};

}  // namespace pondpilot::proxy::launch
