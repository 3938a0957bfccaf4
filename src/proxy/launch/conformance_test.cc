// What every Launcher does, whatever workers run in. Docker: PONDPILOT_TEST_DOCKER_SOCKET names an engine's
// socket, PONDPILOT_TEST_DOCKER_IMAGE an image with a shell that is on it. Processes need nothing; what the
// system denies them is skipped, and says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/secret.h"
#include "proxy/launch/conformance_kinds.h"

namespace pondpilot::proxy::launch {
namespace {

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

using Kinds = ::testing::Types<Processes, ForkedProcesses, Containers>;
class KindNames {
 public:
  template <typename T>
  static std::string GetName(int) {
    if (std::is_same_v<T, Processes>) return "Processes";
    return std::is_same_v<T, ForkedProcesses> ? "ForkedProcesses" : "Containers";
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
