// What every Launcher does, whatever workers run in. Docker: PONDPILOT_TEST_DOCKER_SOCKET names an engine's
// socket, PONDPILOT_TEST_DOCKER_IMAGE an image with a shell that is on it. Processes need nothing; what the
// system denies them is skipped, and says so.
#include <gmock/gmock.h>
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
#include <set>
#include <thread>
#include <type_traits>

#include "base/secret.h"
#include "proxy/launch/docker/docker_launcher.h"
#include "proxy/launch/docker/fake_engine.h"
#include "proxy/launch/process/process_launcher.h"

namespace pondpilot::proxy::launch {
namespace {

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

class Processes final : public Kind {
 public:
  Processes() {
    std::string folder = (fs::temp_directory_path() / "pondpilot-launch-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) std::abort();
    folder_ = folder;
    ::chmod(folder.c_str(), 0711);
  }
  ~Processes() override { fs::remove_all(folder_); }

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
    return std::make_unique<process::ProcessLauncher>(std::move(options));
  }

  fs::path folder_;
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

template <typename T>
class LauncherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = kind_.Missing(); !missing.empty()) GTEST_SKIP() << missing;
  }

  std::unique_ptr<Launcher> Prepared(Behaviour behaviour) {
    auto launcher = kind_.Make(behaviour);
    const auto prepared = Await(launcher->Prepare());
    EXPECT_TRUE(prepared) << prepared.error().message;
    return launcher;
  }
  static WorkerSpec Spec(const std::string& user = "alice") {
    return {.worker_id = base::RandomHex(8),
            .user_id = user,
            .token_sha256 = base::Sha256Hex("token"),
            .memory_limit_bytes = 96 << 20,
            .cpu_limit = 1,
            .sqlite_paths = {}};
  }
  static LaunchedWorker Start(Launcher& launcher, WorkerSpec spec = Spec()) {
    const auto worker = Await(launcher.Launch(std::move(spec)));
    EXPECT_TRUE(worker) << worker.error().message << " " << worker.error().detail;
    return worker.value_or(LaunchedWorker{});
  }
  static WorkerExit AwaitExit(Launcher& launcher, const LaunchedWorker& worker) {
    const auto exit = Await(launcher.WaitForExit(worker.handle));
    EXPECT_TRUE(exit);
    return exit.value_or(WorkerExit{.exit_code = -1});
  }

  T kind_;
};

using Kinds = ::testing::Types<Processes, Containers>;
class KindNames {
 public:
  template <typename T>
  static std::string GetName(int) {
    return std::is_same_v<T, Processes> ? "Processes" : "Containers";
  }
};
TYPED_TEST_SUITE(LauncherTest, Kinds, KindNames);

TYPED_TEST(LauncherTest, AWorkerIsStoppedWithinItsGraceAndGone) {
  auto launcher = this->Prepared(Behaviour::kWaits);
  EXPECT_TRUE(Await(launcher->Check()));
  const LaunchedWorker worker = this->Start(*launcher);
  ASSERT_FALSE(worker.handle.empty());
  EXPECT_FALSE(worker.address.empty());
  EXPECT_TRUE(this->kind_.LeftBehind(worker)) << "it runs";
  std::optional<base::Result<WorkerExit>> exit;
  {
    std::jthread watcher([&] { exit = Await(launcher->WaitForExit(worker.handle)); });
    const auto begun = std::chrono::steady_clock::now();
    const auto stopped = Await(launcher->Stop(worker.handle, seconds(10)));
    EXPECT_TRUE(stopped) << stopped.error().message;
    EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(9)) << "SIGTERM did not arrive";
  }
  ASSERT_TRUE(exit && *exit);
  EXPECT_FALSE((*exit)->out_of_memory);
  EXPECT_FALSE(this->kind_.LeftBehind(worker));
  EXPECT_TRUE(Await(launcher->Stop(worker.handle, seconds(1)))) << "stopping it twice";
}

TYPED_TEST(LauncherTest, AWorkerThatDoesNotObeyIsKilled) {
  auto launcher = this->Prepared(Behaviour::kWaitsStubbornly);
  const LaunchedWorker worker = this->Start(*launcher);
  this->kind_.AwaitStubborn(worker);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(Await(launcher->Stop(worker.handle, milliseconds(1000))));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, milliseconds(950)) << "no grace";
  EXPECT_FALSE(this->kind_.LeftBehind(worker));
}

TYPED_TEST(LauncherTest, AnExitCodeIsReported) {
  auto launcher = this->Prepared(Behaviour::kExitsWith3);
  const LaunchedWorker worker = this->Start(*launcher);
  const WorkerExit exit = this->AwaitExit(*launcher, worker);
  EXPECT_EQ(exit.exit_code, 3);
  EXPECT_FALSE(exit.out_of_memory);
  EXPECT_TRUE(Await(launcher->Stop(worker.handle, milliseconds(0))));
  EXPECT_FALSE(this->kind_.LeftBehind(worker));
  EXPECT_TRUE(Await(launcher->WaitForExit(worker.handle))) << "one that no longer exists has ended";
}

TYPED_TEST(LauncherTest, ACrashIsReported) {
  auto launcher = this->Prepared(Behaviour::kCrashes);
  const WorkerExit exit = this->AwaitExit(*launcher, this->Start(*launcher));
  // SIGABRT; the first process of a namespace can't be ended by its own, and abort() then has another way.
  EXPECT_THAT(exit.exit_code, ::testing::AnyOf(134, 139));
  EXPECT_FALSE(exit.out_of_memory);
}

TYPED_TEST(LauncherTest, MemoryIsBounded) {
  auto launcher = this->Prepared(Behaviour::kFillsMemory);
  const WorkerExit exit = this->AwaitExit(*launcher, this->Start(*launcher));
  // Refused by the process's own limit, or killed at the cgroup's.
  EXPECT_TRUE(exit.exit_code == ENOMEM || (exit.exit_code == 137 && exit.out_of_memory)) << exit.exit_code;
}

TYPED_TEST(LauncherTest, ThreadsAreBounded) {
  auto launcher = this->Prepared(Behaviour::kStartsThreads);
  if (!this->kind_.HasCgroups(*launcher) && ::geteuid() != 0) GTEST_SKIP() << "needs a cgroup or root";
  auto spec = this->Spec();
  spec.memory_limit_bytes = 8ULL << 30;  // stacks count
  EXPECT_EQ(this->AwaitExit(*launcher, this->Start(*launcher, spec)).exit_code, EAGAIN);
}

TYPED_TEST(LauncherTest, ProcessorTimeIsBounded) {
  auto launcher = this->Prepared(Behaviour::kSpins);
  auto spec = this->Spec();
  spec.cpu_limit = this->kind_.HasCgroups(*launcher) ? 0.5 : 1;
  const int percent = this->AwaitExit(*launcher, this->Start(*launcher, spec)).exit_code;
  EXPECT_LE(percent, this->kind_.HasCgroups(*launcher) ? 75 : 115);
}

TYPED_TEST(LauncherTest, WhatAnEarlierRunLeftIsFound) {
  auto earlier = this->Prepared(Behaviour::kWaits);
  const LaunchedWorker left = this->Start(*earlier);
  ASSERT_FALSE(left.handle.empty());
  earlier.reset();
  EXPECT_TRUE(this->kind_.LeftBehind(left)) << "workers don't end with the launcher";
  auto later = this->Prepared(Behaviour::kWaits);
  const auto found = Await(later->Find());
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().worker.worker_id, left.worker_id);
  EXPECT_EQ(found->front().worker.handle, left.handle);
  EXPECT_EQ(found->front().user_digest, UserDigest("alice"));
  EXPECT_TRUE(found->front().running);
  std::optional<base::Result<WorkerExit>> exit;
  {
    std::jthread watcher([&] { exit = Await(later->WaitForExit(left.handle)); });
    EXPECT_TRUE(Await(later->Stop(left.handle, milliseconds(0))));
  }
  EXPECT_TRUE(exit && *exit);
  EXPECT_FALSE(this->kind_.LeftBehind(left));
}

TYPED_TEST(LauncherTest, AProgramThatIsNowhereIsAClearError) {
  auto launcher = this->kind_.MakeWithoutProgram();
  const auto prepared = Await(launcher->Prepare());
  ASSERT_FALSE(prepared);
  EXPECT_FALSE(prepared.error().message.empty());
  EXPECT_THAT(prepared.error().message,
              ::testing::AnyOf(::testing::HasSubstr("/nowhere"), ::testing::HasSubstr("nothing:here")));
}

TYPED_TEST(LauncherTest, ManyAtOnceAreApart) {
  auto launcher = this->Prepared(Behaviour::kWaits);
  std::vector<LaunchedWorker> workers(6);
  {
    std::vector<std::jthread> threads;
    for (LaunchedWorker& worker : workers) threads.emplace_back([&] { worker = this->Start(*launcher); });
  }
  std::set<std::string> handles;
  for (const LaunchedWorker& worker : workers) handles.insert(worker.handle);
  EXPECT_EQ(handles.size(), workers.size());
  std::vector<std::jthread> threads;
  for (const LaunchedWorker& worker : workers) {
    threads.emplace_back([&] { EXPECT_TRUE(Await(launcher->Stop(worker.handle, seconds(5)))); });
  }
}

}  // namespace
}  // namespace pondpilot::proxy::launch
