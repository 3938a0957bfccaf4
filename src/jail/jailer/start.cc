#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <system_error>

#include "jail/jailer/children.h"
#include "jail/jailer/spawner.h"
#include "jail/jailer/wire.h"
#include "jail/plan_message.h"
#include "jail/privileges.h"
#include "jail/zygote.h"

// How a process comes into its jail: tried when the spawner opens, then done for each worker.
namespace pondpilot::jail {
namespace {

using Clock = std::chrono::steady_clock;

// For all ways to start a worker together, and for the first of them.
constexpr std::chrono::seconds kStartPatience(10);
constexpr std::chrono::seconds kForkPatience(5);
constexpr int kNotJailed = 126;
constexpr int kNotRun = 127;
constexpr size_t kMaxReport = 16 << 10;

std::string Why(int error) { return std::generic_category().message(error); }

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool WriteFile(const std::string& path, const std::string& text) {
  const base::Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file.valid() && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// A child as fork makes it, in namespaces of its own.
pid_t Fork(uint64_t namespaces) {
  return static_cast<pid_t>(::syscall(SYS_clone, namespaces | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

// Its own ids under the same numbers, as the only ones that there are.
bool MapUser(pid_t process) {
  const std::string folder = "/proc/" + std::to_string(process);
  const auto one = [](uint32_t id) { return std::to_string(id) + " " + std::to_string(id) + " 1\n"; };
  return WriteFile(folder + "/setgroups", "deny") && WriteFile(folder + "/uid_map", one(::geteuid())) &&
         WriteFile(folder + "/gid_map", one(::getegid()));
}

// All that the child says until it goes on or ends; nullopt when neither happens in time.
std::optional<std::string> ReadReport(int line, Clock::time_point end) {
  std::string text;
  while (text.size() < kMaxReport) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    pollfd wait{line, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) == 0) return std::nullopt;
    // A packet each; what does not fit is lost.
    std::array<char, kMaxReport> buffer{};
    const ssize_t got = ::read(line, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(got));
  }
  return text;
}

}  // namespace

void Spawner::ChooseNamespaces() {
  constexpr uint64_t kOwn = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
  std::string reason;
  for (const uint64_t flags : {kOwn, kOwn | CLONE_NEWUSER}) {
    // One that may give each worker a user id keeps that; a namespace of one user would take it away.
    if ((flags & CLONE_NEWUSER) != 0 && own_users_) break;
    const pid_t child = Fork(flags);
    if (child == 0) ::_exit(0);
    if (child > 0) {
      (void)::waitpid(child, nullptr, 0);
      namespaces_ = flags;
      return;
    }
    reason = Why(errno);
  }
  report_.Denied(Layer::kNamespaces, "the kernel or the container refuses them (CAP_SYS_ADMIN): " + reason);
}

std::string Spawner::Probe() {
  own_users_ = HasCapability(CAP_SETUID) && HasCapability(CAP_SETGID) && HasCapability(CAP_CHOWN) &&
               HasCapability(CAP_KILL);
  ChooseNamespaces();
  place_ = FindCgroups(ReadFile("/proc/self/mountinfo"), ReadFile("/proc/self/cgroup"));
  kills_seen_ = OutOfMemoryKills(place_);
  const Report::State namespaces = report_[Layer::kNamespaces];

  Plan plan;
  plan.program = options_.program;
  plan.amounts = {.memory_bytes = 64 << 20, .cpu_cores = 1};
  if (own_users_) plan.user = options_.first_user;
  plan.files.writable = {options_.spill_folder};
  const auto started = Start(Completed(plan, Way::kProbe), Way::kProbe, "");
  if (!started) return "No process can be started: " + started.error() + ".";
  const auto text = ReadReport(started->line.get(), Clock::now() + kStartPatience);
  (void)KillChild(started->process);
  const auto report = text ? DecodeReport(*text) : std::nullopt;
  if (!report)
    return "A process that was started to try the isolation of workers has ended without an answer.";
  report_ = *report;
  if (namespaces_ == 0) report_[Layer::kNamespaces] = namespaces;

  auto cgroups = Cgroups::Open(place_);
  if (cgroups) {
    cgroups_ = std::move(*cgroups);
    const std::string failed = cgroups_->Make("probe", plan.amounts);
    cgroups_->Remove("probe");
    if (!failed.empty()) {
      report_.Denied(Layer::kCgroup, failed);
      cgroups_.reset();
    } else {
      report_.Applied(Layer::kCgroup);
    }
  } else {
    report_.Denied(Layer::kCgroup, cgroups.error());
  }
  for (size_t i = 0; i < kLayerCount; ++i) {
    if (report_[static_cast<Layer>(i)].applied) layers_.push_back(static_cast<Layer>(i));
  }
  return {};
}

Plan Spawner::Completed(Plan plan, Way way) const {
  plan.namespaces = namespaces_ != 0;
  plan.layers = way == Way::kProbe ? std::vector<Layer>{} : layers_;
  return plan;
}

// A child that waits at the other end of `own_end` to be told that all is prepared.
std::expected<pid_t, std::string> Spawner::Begin(const Plan& plan, Way way, const base::Descriptor& line,
                                                 base::Descriptor& own_end) {
  if (way == Way::kFork) {
    const auto child = zygote_->Fork(namespaces_, line.get());
    if (!child || !workers_.contains(*child)) return child;
    zygote_->GiveUp("it has answered with a worker that runs");
    return std::unexpected(zygote_->reason());
  }
  const pid_t child = Fork(namespaces_);
  if (child < 0) return std::unexpected(Why(errno));
  if (child > 0) return child;
  own_end.Close();
  char byte = 0;
  if (::read(line.get(), &byte, 1) != 1) ::_exit(kNotJailed);
  int keep = line.get();
  const Report done = EnterJail(plan, keep);
  std::string said = way == Way::kProbe ? Encode(done) : WhatFailed(plan, done);
  if (said.empty() && ::write(keep, kInJail.data(), kInJail.size()) > 0)
    said = "The worker's program can't be run: " + RunProgram(plan) + ".";
  (void)!::write(keep, said.data(), said.size());
  ::_exit(way == Way::kProbe ? 0 : kNotRun);
}

// Each with a line of its own: a child of a zygote that was lost may still wait at another.
std::expected<Spawner::Started, std::string> Spawner::Start(const Plan& plan, Way way,
                                                            const std::string& cgroup) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return std::unexpected(Why(errno));
  base::Descriptor own_end(ends[0]);
  base::Descriptor line(ends[1]);

  const auto child = Begin(plan, way, line, own_end);
  if (!child) return std::unexpected(child.error());
  line.Close();
  std::string failed;
  if ((namespaces_ & CLONE_NEWUSER) != 0 && !MapUser(*child))
    failed = "a user namespace can't be set up: " + Why(errno);
  if (failed.empty() && !cgroup.empty() && cgroups_) failed = cgroups_->Add(cgroup, *child);
  // One that the zygote has forked has yet to be told its plan.
  const bool forked = way == Way::kFork;
  const Message go = forked ? ToMessage(plan) : Message{"go", {}};
  if (failed.empty() && !Send(own_end.get(), go, forked ? plan.socket : -1)) failed = Why(errno);
  if (!failed.empty()) {
    (void)KillChild(*child);
    return std::unexpected(failed);
  }
  return Started{.process = *child, .line = std::move(own_end)};
}

std::expected<Spawner::Worker, std::string> Spawner::StartIn(const Plan& plan, Way way, const std::string& id,
                                                             Clock::time_point end) {
  auto started = Start(plan, way, id);
  if (!started) return std::unexpected("The worker's process can't be started: " + started.error() + ".");
  Worker worker{.id = id,
                .spawned = {.process = started->process, .start = 0, .user = plan.user.value_or(0)},
                .handle = OpenProcess(started->process)};
  auto said = ReadReport(started->line.get(), end);
  const auto start = StartTime(started->process);
  if (said == kInJail && start && worker.handle.valid()) {
    worker.spawned.start = *start;
    return worker;
  }
  (void)KillChild(started->process);
  if (said && said->starts_with(kInJail)) said->erase(0, kInJail.size());
  return std::unexpected(said && !said->empty() ? *said
                                                : "The worker's process did not come to run its program.");
}

std::expected<Spawner::Worker, std::string> Spawner::StartEitherWay(Plan plan, const std::string& id) {
  const Clock::time_point begin = Clock::now();
  plan = Completed(std::move(plan), Way::kRun);
  if (!zygote_ || !zygote_->ready() || !CanBeSent(ToMessage(plan)))
    return StartIn(plan, Way::kRun, id, begin + kStartPatience);
  auto forked = StartIn(plan, Way::kFork, id, begin + kForkPatience);
  if (forked) return forked;
  auto run = StartIn(plan, Way::kRun, id, begin + kStartPatience);
  // The same jail, and it holds a process that the zygote has no part in.
  if (run) zygote_->GiveUp("a worker that it was to fork failed: " + forked.error());
  return run;
}

}  // namespace pondpilot::jail
