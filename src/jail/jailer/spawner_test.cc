#include "jail/jailer/spawner.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/temporary_folder.h"
#include "base/unix_socket.h"
#include "jail/seccomp.h"

// Real processes (jail/testing/intruder.cc) in real jails. What this system denies is skipped, and says so;
// ./dev test runs the tests as root in a container without further rights, as the product is run.
namespace pondpilot::jail {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;

constexpr int kPatienceMs = 20'000;

// Workers that run their program by themselves, and workers that a zygote has forked.
class SpawnerTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers reserve terabytes and make system calls that no worker may make";
#endif
    ::chmod(folder_.c_str(), 0755);
    auto opened = Spawner::Open({.program = PONDPILOT_INTRUDER, .spill_folder = folder_ + "/spill"});
    ASSERT_TRUE(opened) << opened.error();
    spawner_.emplace(std::move(*opened));
    if (!Forked()) return;
    spawner_->UseZygote();
    ASSERT_NE(spawner_->zygote(), nullptr);
    ASSERT_TRUE(spawner_->zygote()->ready()) << spawner_->zygote()->reason();
  }
  static bool Forked() { return GetParam(); }
  void TearDown() override {
    if (!spawner_) return;
    for (const Spawned& worker : running_) (void)spawner_->Signal(worker, SIGKILL);
    for (size_t left = running_.size(); left > 0;) left -= std::min(left, AwaitEnd().size());
  }

  // Skips the test where the layer is denied.
  bool Has(Layer layer) const { return spawner_->report()[layer].applied; }

  WorkerRequest Request(const std::string& attempt, const std::string& argument = "") {
    const std::string id = "w" + std::to_string(++count_);
    return {.id = id,
            .environment = {"ATTEMPT=" + attempt, "ARGUMENT=" + argument, "SPILL=" + Spill(id)},
            .amounts = {.memory_bytes = 256 << 20, .cpu_cores = 1, .threads = 64},
            .files = {}};
  }
  std::string Spill(const std::string& id) const { return folder_ + "/spill/" + id; }

  std::vector<Ended> AwaitEnd() {
    std::vector<pollfd> wait;
    for (const int descriptor : spawner_->Watched()) wait.push_back({descriptor, POLLIN, 0});
    EXPECT_GT(::poll(wait.data(), wait.size(), kPatienceMs), 0) << "no worker ended";
    return spawner_->Collect();
  }

  Ended Run(const WorkerRequest& request) {
    const auto spawned = spawner_->Launch(request, -1);
    EXPECT_TRUE(spawned) << spawned.error();
    if (!spawned) return {.worker = {}, .status = -1};
    while (true) {
      for (const Ended& ended : AwaitEnd()) {
        if (ended.worker.process == spawned->process) return ended;
      }
      if (::testing::Test::HasFailure()) return {.worker = {}, .status = -1};
    }
  }
  int Try(const std::string& attempt, const std::string& argument = "") {
    return Run(Request(attempt, argument)).status;
  }

  // A worker that waits to be ended.
  Spawned Start(const std::string& attempt = "wait") {
    const auto spawned = spawner_->Launch(Request(attempt), -1);
    EXPECT_TRUE(spawned) << spawned.error();
    if (spawned) running_.push_back(*spawned);
    return spawned.value_or(Spawned{});
  }
  bool OwnChildrenAreGone();
  std::string LastId() const { return "w" + std::to_string(count_); }

  std::string WriteFile(const std::string& name, const std::string& text, mode_t mode) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }

  const base::TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
  std::optional<Spawner> spawner_;
  std::vector<Spawned> running_;
  int count_ = 0;
};

#define NEEDS(layer) \
  if (!Has(layer)) GTEST_SKIP() << "denied here: " << spawner_->report()[layer].reason

TEST_P(SpawnerTest, AWorkerRunsAndItsExitCodeIsKnown) {
  EXPECT_EQ(Try("nothing"), 0);
  EXPECT_EQ(Try("exit", "7"), 7);
  // The first process of a namespace can't be ended by its own SIGABRT; abort() then has another way.
  EXPECT_THAT(Try("crash"), AnyOf(Eq(128 + SIGABRT), Eq(128 + SIGSEGV)));
}

TEST_P(SpawnerTest, LayersThatNeedNoRightAreThere) {
  EXPECT_TRUE(Has(Layer::kLimits)) << spawner_->report()[Layer::kLimits].reason;
  EXPECT_TRUE(Has(Layer::kSeccomp)) << spawner_->report()[Layer::kSeccomp].reason;
  EXPECT_TRUE(Has(Layer::kPrivileges)) << spawner_->report()[Layer::kPrivileges].reason;
  for (size_t i = 0; i < kLayerCount; ++i) {
    const auto& state = spawner_->report()[static_cast<Layer>(i)];
    EXPECT_TRUE(state.applied || !state.reason.empty()) << kLayerNames[i] << " is denied without a reason";
  }
}

TEST_P(SpawnerTest, SystemCallsThatAWorkerDoesNotNeedAreRefused) {
  for (const char* attempt : {"fork",
                              "unshare",
                              "mount",
                              "chroot",
                              "become root",
                              "dumpable",
                              "bpf",
                              "userfaultfd",
                              "io_uring",
                              "perf",
                              "keyring",
                              "memfd",
                              "shared memory",
                              "message queue",
                              "uncounted memory",
                              "writable code",
                              "code made writable",
                              "terminal input",
                              "hostname",
                              "scheduler",
                              "take processors",
                              "raw socket",
                              "ping socket",
                              "packet socket",
                              "netlink socket",
                              "vsock socket",
                              "raise limit"}) {
    EXPECT_EQ(Try(attempt), EPERM) << attempt;
  }
}

TEST_P(SpawnerTest, AWorkerThatHasStartedBecomesNoOtherProgramAndMakesNoUnixSocket) {
  EXPECT_EQ(Try("exec later"), EPERM);
  EXPECT_EQ(Try("unix socket later"), EPERM);
}

TEST_P(SpawnerTest, NothingIsInherited) {
  const int kept_open = ::open("/etc/passwd", O_RDONLY);  // NOLINT(android-cloexec-open): that is the point
  const int high = ::fcntl(kept_open, F_DUPFD, 200);
  EXPECT_EQ(Try("descriptors"), 0);
  ::close(kept_open);
  ::close(high);
}

TEST_P(SpawnerTest, FilesOfOthersAreOutOfReach) {
  NEEDS(Layer::kLandlock);
  const std::string open_to_all = WriteFile("config.yaml", "secret", 0644);
  EXPECT_EQ(Try("read", open_to_all), Has(Layer::kMounts) ? ENOENT : EACCES);
  EXPECT_THAT(Try("write", "/tmp/left-behind"), AnyOf(Eq(EACCES), Eq(ENOENT), Eq(EROFS)));
  EXPECT_THAT(Try("write", "/dev/shm/left-behind"), AnyOf(Eq(EACCES), Eq(ENOENT), Eq(EROFS)));
  EXPECT_THAT(Try("list", folder_), AnyOf(Eq(EACCES), Eq(ENOENT)));
  EXPECT_THAT(Try("list", "/proc"), AnyOf(Eq(EACCES), Eq(ENOENT)));
  EXPECT_THAT(Try("read", "/etc/passwd"), AnyOf(Eq(EACCES), Eq(ENOENT)));
  EXPECT_THAT(Try("write", "/usr/lib/left-behind"), AnyOf(Eq(EACCES), Eq(EROFS)));
  // One that was forked never needed to run a program.
  EXPECT_THAT(Try("exec", "/bin/true"),
              Forked() ? AnyOf(Eq(EPERM), Eq(EPERM)) : AnyOf(Eq(EACCES), Eq(ENOENT)));
}

TEST_P(SpawnerTest, WhatItNeedsIsThere) {
  EXPECT_EQ(Try("read", "/etc/resolv.conf"), 0);
  EXPECT_EQ(Try("read", "/dev/urandom"), 0);
  EXPECT_EQ(Try("read", "/usr/bin/env"), 0);
  EXPECT_EQ(Try("list", "/usr/lib"), 0);
  EXPECT_EQ(Try("own fd"), 0);
}

TEST_P(SpawnerTest, GivenFilesCanBeReadAndNotWritten) {
  WorkerRequest request = Request("read", WriteFile("shop.db", "rows", 0644));
  request.files = {folder_ + "/shop.db", folder_ + "/is-not-there.db"};
  EXPECT_EQ(Run(request).status, 0);
  request = Request("write", folder_ + "/shop.db");
  request.files = {folder_ + "/shop.db"};
  EXPECT_THAT(Run(request).status, AnyOf(Eq(EACCES), Eq(EROFS)));
}

TEST_P(SpawnerTest, TheSpillFolderIsItsOwnAndGoesWithIt) {
  WorkerRequest request = Request("write", "");
  request.environment[1] = "ARGUMENT=" + Spill(request.id) + "/block";
  EXPECT_EQ(Run(request).status, 0);
  EXPECT_FALSE(fs::exists(Spill(request.id)));
  EXPECT_TRUE(fs::is_empty(folder_ + "/spill"));

  Start();
  const std::string others = Spill(LastId());
  ASSERT_TRUE(fs::is_directory(others));
  EXPECT_THAT(Try("list", others), AnyOf(Eq(EACCES), Eq(ENOENT)));
  EXPECT_THAT(Try("write", others + "/block"), AnyOf(Eq(EACCES), Eq(ENOENT)));
  EXPECT_THAT(Try("make folder", folder_ + "/spill/another"), AnyOf(Eq(EACCES), Eq(EROFS), Eq(ENOENT)));
}

// Whoever runs the proxy, and whoever has another worker.
TEST_P(SpawnerTest, OtherProcessesAreOutOfReach) {
  if (!Has(Layer::kUser) && !Has(Layer::kLandlock)) GTEST_SKIP() << "neither a user id nor Landlock here";
  const Spawned other = Start();
  for (const pid_t victim : {other.process, ::getpid()}) {
    const std::string number = std::to_string(victim);
    for (const char* attempt : {"environ", "mem", "fd", "root", "ptrace", "pidfd"}) {
      EXPECT_THAT(Try(attempt, number), AnyOf(Eq(EACCES), Eq(EPERM), Eq(ENOENT)))
          << attempt << " of " << victim;
    }
    EXPECT_EQ(Try("signal", number), EPERM) << victim;
  }
  EXPECT_EQ(StartTime(other.process), other.start) << "the other one still runs";
}

TEST_P(SpawnerTest, UserIdsAreApart) {
  NEEDS(Layer::kUser);
  const Spawned one = Start();
  const Spawned two = Start();
  EXPECT_NE(one.user, two.user);
  for (const Spawned& worker : {one, two}) {
    EXPECT_GE(worker.user, 40'000U);
    struct stat info{};
    ASSERT_EQ(::stat(("/proc/" + std::to_string(worker.process)).c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, worker.user);
    EXPECT_EQ(info.st_gid, worker.user);
  }
}

TEST_P(SpawnerTest, SocketsOfOthersAreOutOfReach) {
  NEEDS(Layer::kUser);
  const std::string folder = folder_ + "/sockets";
  fs::create_directory(folder);
  ::chmod(folder.c_str(), 0700);
  const int listening = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder + "/flight.sock";
  std::memcpy(address.sun_path, path.c_str(), path.size());
  ASSERT_EQ(::bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(listening, 1), 0);
  ::chmod(path.c_str(), 0777);
  EXPECT_THAT(Try("connect", path), AnyOf(Eq(EACCES), Eq(ENOENT)));
  ::close(listening);
}

TEST_P(SpawnerTest, AbstractSocketsOfOthersAreOutOfReach) {
  NEEDS(Layer::kLandlock);
  if (!spawner_->report()[Layer::kLandlock].reason.empty())
    GTEST_SKIP() << spawner_->report()[Layer::kLandlock].reason;
  const std::string name = "pondpilot-jail-test-" + std::to_string(::getpid());
  const int listening = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.c_str(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(::bind(listening, reinterpret_cast<const sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(listening, 1), 0);
  EXPECT_EQ(Try("connect abstract", name), EPERM);
  ::close(listening);
}

TEST_P(SpawnerTest, NoPortCanBeTakenButAFreeOne) {
  NEEDS(Layer::kLandlock);
  EXPECT_EQ(Try("bind", "18080"), EACCES);
  EXPECT_EQ(Try("bind", "0"), 0);
}

TEST_P(SpawnerTest, MemoryIsBounded) {
  EXPECT_EQ(Try("allocate", std::to_string(64 << 20)), 0);
  EXPECT_EQ(Try("allocate", std::to_string(512 << 20)), ENOMEM);
}

TEST_P(SpawnerTest, FilesAreBounded) {
  EXPECT_EQ(Try("large file", std::to_string(1L << 30)), 0);
  EXPECT_EQ(Try("large file", std::to_string(8L << 30)), EFBIG);
  EXPECT_EQ(Try("many files"), EMFILE);
}

TEST_P(SpawnerTest, ThreadsAreBounded) {
  if (!Has(Layer::kUser) && !Has(Layer::kCgroup)) GTEST_SKIP() << "neither a user id nor a cgroup here";
  for (const auto& [threads, outcome] : {std::pair("32", 0), std::pair("200", EAGAIN)}) {
    WorkerRequest request = Request("threads", threads);
    request.amounts.memory_bytes = 8ULL << 30;  // stacks count
    EXPECT_EQ(Run(request).status, outcome);
  }
}

TEST_P(SpawnerTest, ProcessorsAreAsManyAsCoresAllotted) {
  EXPECT_EQ(Try("processors"), 1);
  // However many threads spin; a little more is the scheduler's rounding.
  EXPECT_LE(Try("spin", "4"), 115);
}

TEST_P(SpawnerTest, ProcessorTimeIsBoundedInFractions) {
  NEEDS(Layer::kCgroup);
  WorkerRequest request = Request("spin", "2");
  request.amounts.cpu_cores = 0.25;
  EXPECT_LE(Run(request).status, 40);
}

TEST_P(SpawnerTest, ItsOwnProcessIsAllThatItSees) {
  NEEDS(Layer::kNamespaces);
  EXPECT_EQ(Try("pid"), 1);
}

TEST_P(SpawnerTest, SignalsReachWorkersAndNothingElse) {
  const Spawned worker = Start();
  Spawned recycled = worker;
  recycled.start -= 1;
  EXPECT_FALSE(spawner_->Signal(recycled, SIGKILL)) << "a process that has the number of one that is gone";
  EXPECT_FALSE(spawner_->Signal({.process = ::getpid(), .start = *StartTime(::getpid())}, SIGTERM));
  EXPECT_FALSE(
      spawner_->Adopt("proxy",
                      {.process = ::getppid(), .start = StartTime(::getppid()).value_or(0), .user = 0}) &&
      Has(Layer::kUser))
      << "a process that no spawner can have started";
  EXPECT_TRUE(spawner_->Signal(worker, SIGTERM));
  const auto ended = AwaitEnd();
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].status, 128 + SIGTERM);
  EXPECT_FALSE(ended[0].out_of_memory);
  EXPECT_FALSE(spawner_->Signal(worker, SIGKILL)) << "it is gone";
  running_.clear();
}

TEST_P(SpawnerTest, AnotherSpawnerAdoptsWhatThisOneHasStarted) {
  const Spawned worker = Start();
  auto later = Spawner::Open({.program = PONDPILOT_INTRUDER, .spill_folder = folder_ + "/spill"});
  ASSERT_TRUE(later) << later.error();
  Spawned wrong = worker;
  wrong.start += 1;
  EXPECT_FALSE(later->Adopt(LastId(), wrong));
  ASSERT_TRUE(later->Adopt(LastId(), worker));
  EXPECT_FALSE(later->Adopt(LastId(), worker)) << "twice";
  EXPECT_FALSE(later->Clear(LastId())) << "it runs";
  ASSERT_TRUE(later->Signal(worker, SIGKILL));
  pollfd wait{later->Watched()[0], POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, kPatienceMs), 1);
  EXPECT_EQ(later->Collect().size(), 1U);
  EXPECT_FALSE(fs::exists(Spill(LastId())));
  EXPECT_EQ(spawner_->Collect().size(), 1U);
  running_.clear();
}

TEST_P(SpawnerTest, AProgramThatIsNotThereIsAClearError) {
  auto spawner = Spawner::Open({.program = "/nowhere/pondpilot-worker", .spill_folder = folder_ + "/spill"});
  ASSERT_TRUE(spawner) << spawner.error();
  const auto spawned = spawner->Launch(Request("nothing"), -1);
  ASSERT_FALSE(spawned);
  EXPECT_THAT(spawned.error(), HasSubstr("/nowhere/pondpilot-worker"));
  EXPECT_TRUE(fs::is_empty(folder_ + "/spill"));
}

TEST_P(SpawnerTest, NamesThatLeadElsewhereAreRefused) {
  for (const char* id : {"", ".", "..", "a/b", "a\nb", "../spill/w1"}) {
    WorkerRequest request = Request("nothing");
    request.id = id;
    EXPECT_FALSE(spawner_->Launch(request, -1)) << id;
    EXPECT_FALSE(spawner_->Clear(id)) << id;
  }
}

TEST_P(SpawnerTest, AnOutOfMemoryKillIsTold) {
  NEEDS(Layer::kCgroup);
  // What the limits of a process don't count: pages in pipes.
  WorkerRequest request = Request("fill pipes");
  request.amounts.memory_bytes = 32 << 20;
  const auto ended = Run(request);
  EXPECT_EQ(ended.status, 128 + SIGKILL);
  EXPECT_TRUE(ended.out_of_memory);
  EXPECT_FALSE(Run(Request("nothing")).out_of_memory) << "the next one is not blamed";
}

// Waits until this process has no child that nobody has asked for, ended or not; the zygote is gone.
bool SpawnerTest::OwnChildrenAreGone() {
  const auto end = Zygote::Clock::now() + std::chrono::milliseconds(kPatienceMs);
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
    if (Zygote::Clock::now() >= end) return false;
    (void)spawner_->Collect();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return errno == ECHILD;
}

std::string CommandLine(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/cmdline");
  return {std::istreambuf_iterator<char>(file), {}};
}

class ZygoteTest : public SpawnerTest {
 protected:
  // Does as the jailer's loop: tends the zygote when it says something, and when it is due.
  void TendUntil(bool ready) {
    const auto end = Zygote::Clock::now() + std::chrono::seconds(20);
    while (spawner_->zygote()->ready() != ready && Zygote::Clock::now() < end) {
      pollfd wait{spawner_->zygote()->watched(), POLLIN, 0};
      const auto due = spawner_->zygote()->due().value_or(end) - Zygote::Clock::now();
      (void)::poll(&wait, 1, static_cast<int>(std::max<int64_t>(due / std::chrono::milliseconds(1) + 1, 0)));
      Tend();
    }
    ASSERT_EQ(spawner_->zygote()->ready(), ready) << spawner_->zygote()->reason();
  }
  // As the jailer does, which tells the proxy of each change.
  void Tend() {
    if (spawner_->TendZygote()) told_.push_back(spawner_->ZygoteState());
  }
  // What a program does as a zygote, its name says (jail/testing/intruder.cc).
  void UseProgram(const std::string& name) {
    const std::string program = folder_ + "/" + name;
    fs::copy_file(PONDPILOT_INTRUDER, program);
    auto spawner = Spawner::Open({.program = program, .spill_folder = folder_ + "/spill"});
    ASSERT_TRUE(spawner) << spawner.error();
    spawner_.emplace(std::move(*spawner));
    spawner_->UseZygote();
  }
  // A zygote that does not do its part costs nobody a worker, and is lost for a reason, at once.
  void LosesItsZygote(const std::string& name, const std::string& reason) {
    UseProgram(name);
    ASSERT_TRUE(spawner_->zygote()->ready()) << spawner_->zygote()->reason();
    EXPECT_EQ(Try("exit", "7"), 7);
    EXPECT_FALSE(spawner_->zygote()->ready());
    EXPECT_LE(spawner_->zygote()->due(), Zygote::Clock::now()) << "there is something to tell";
    Tend();
    EXPECT_THAT(told_, ElementsAre(HasSubstr(reason)));
  }
  std::vector<std::string> told_;
};

TEST_P(ZygoteTest, ItsWorkersAreTheJailersOwnAndShowTheirNames) {
  const Spawned worker = Start();
  EXPECT_THAT(CommandLine(worker.process), HasSubstr("jail_intruder " + LastId()));
  std::ifstream file("/proc/" + std::to_string(worker.process) + "/status");
  const std::string status{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(status, HasSubstr("PPid:\t" + std::to_string(::getpid()) + "\n"));
}

TEST_P(ZygoteTest, OneThatIsKilledIsReplacedAndMissedByNobody) {
  const Spawned before = Start();
  const pid_t killed = spawner_->zygote()->process();
  ASSERT_EQ(::kill(killed, SIGKILL), 0);
  EXPECT_EQ(Try("exit", "7"), 7) << "the next one runs its program by itself";
  EXPECT_FALSE(spawner_->zygote()->ready());
  Tend();
  EXPECT_EQ(StartTime(before.process), before.start) << "its workers go on";
  TendUntil(true);
  EXPECT_NE(spawner_->zygote()->process(), killed);
  EXPECT_THAT(told_, ElementsAre(HasSubstr("it has ended (signal 9)"), "ready"));
  const Spawned after = Start();
  EXPECT_THAT(CommandLine(after.process), HasSubstr("jail_intruder " + LastId()));
}

TEST_P(ZygoteTest, OneWithThreadsIsRefused) {
  UseProgram("zygote with a thread");
  EXPECT_FALSE(spawner_->zygote()->ready());
  EXPECT_THAT(spawner_->zygote()->reason(), HasSubstr("2 threads"));
}

TEST_P(ZygoteTest, OneWhoseThreadIsOnItsWayOutIsNot) {
  UseProgram("zygote with a thread that ends");
  EXPECT_TRUE(spawner_->zygote()->ready()) << spawner_->zygote()->reason();
}

TEST_P(ZygoteTest, OneThatDoesNotAnswerIsGivenUp) {
  ASSERT_EQ(::kill(spawner_->zygote()->process(), SIGSTOP), 0);
  EXPECT_EQ(Try("exit", "7"), 7);
  EXPECT_FALSE(spawner_->zygote()->ready());
  Tend();
  EXPECT_THAT(told_, ElementsAre(HasSubstr("did not answer")));
}

// Its child waits for a word as well; it must not get the one that is meant for the worker's process.
TEST_P(ZygoteTest, WhatOneHasForkedWithoutAnAnswerIsInNobodysWay) {
  LosesItsZygote("zygote that never answers", "did not answer");
  EXPECT_TRUE(OwnChildrenAreGone()) << "the zygote's child is taken in, and goes";
}

TEST_P(ZygoteTest, OneWhoseChildrenFailIsGivenUp) {
  LosesItsZygote("zygote whose children fail", "close_range");
}

TEST_P(ZygoteTest, OneWhoseChildrenDieIsGivenUp) {
  LosesItsZygote("zygote whose children die", "did not come to run");
}

TEST_P(ZygoteTest, OneThatNamesAProcessOfOthersIsGivenUp) {
  // Signalled, these would be the own group, init, and, cut to a process id, all processes that there are.
  for (const std::string& pid :
       {std::string("0"), std::string("1"), std::string("4294967295"), std::to_string(::getpid())}) {
    told_.clear();
    LosesItsZygote("zygote that answers " + pid, "no child of the jailer's");
  }
}

TEST_P(ZygoteTest, APlanThatIsTooLongForAMessageIsCarriedOutWithoutIt) {
  WorkerRequest request = Request("exit", "7");
  for (int i = 0; i < 2'000; ++i) request.files.push_back(folder_ + "/is-not-there/" + std::to_string(i));
  EXPECT_EQ(Run(request).status, 7);
  EXPECT_TRUE(spawner_->zygote()->ready()) << spawner_->zygote()->reason();
}

TEST_P(ZygoteTest, ChildrenThatNobodyKnowsAreTakenInWhateverElseHasEnded) {
  const Spawned worker = Start();
  const pid_t zygote = spawner_->zygote()->process();
  const pid_t stray = ::fork();
  if (stray == 0) ::_exit(0);
  // Both stand before it in the kernel's list.
  ASSERT_EQ(::kill(zygote, SIGKILL), 0);
  ASSERT_EQ(::kill(worker.process, SIGKILL), 0);
  for (const pid_t child : {zygote, worker.process, stray}) {
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  }
  const auto ended = spawner_->Collect();
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].worker.process, worker.process);
  EXPECT_EQ(ended[0].status, 128 + SIGKILL);
  running_.clear();
  siginfo_t info{};
  EXPECT_EQ(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1) << info.si_pid << " is left";
  Tend();
  EXPECT_THAT(told_, ElementsAre(HasSubstr("it has ended (signal 9)")));
}

// What `state` returns in a child of this process in which a system call fails, if its first argument is
// that.
std::string WithoutCall(uint32_t call, std::optional<uint32_t> argument,
                        const std::function<std::string()>& state) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const base::Descriptor hears(ends[0]);
  base::Descriptor says(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uint32_t kArgument = offsetof(seccomp_data, args);
    const std::vector<sock_filter> filter = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArgument),
        BPF_JUMP(BPF_JMP | (argument ? BPF_JEQ : BPF_JGE) | BPF_K, argument.value_or(0), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const std::string failed = InstallFilter(filter);
    const std::string said = failed.empty() ? state() : failed;
    (void)!::write(says.get(), said.data(), said.size());
    ::_exit(0);
  }
  says.Close();
  std::string text;
  std::array<char, 1024> buffer{};
  for (ssize_t got = 0; (got = ::read(hears.get(), buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<size_t>(got));
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  return text;
}

TEST_P(ZygoteTest, AReasonIsGivenWhereThereCanBeNone) {
  const auto state = [&]() -> std::string {
    auto spawner = Spawner::Open({.program = PONDPILOT_INTRUDER, .spill_folder = folder_ + "/spill"});
    if (!spawner) return spawner.error();
    spawner->UseZygote();
    return spawner->ZygoteState();
  };
  EXPECT_THAT(WithoutCall(SYS_prctl, PR_SET_CHILD_SUBREAPER, state), HasSubstr("can't become the parent"));
  EXPECT_THAT(WithoutCall(SYS_capset, std::nullopt, state), HasSubstr("can't give up: capset"));
}

INSTANTIATE_TEST_SUITE_P(Forked, ZygoteTest, ::testing::Values(true));
INSTANTIATE_TEST_SUITE_P(Workers, SpawnerTest, ::testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Forked" : "Executed"; });

}  // namespace
}  // namespace pondpilot::jail
