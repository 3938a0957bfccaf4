#include "jail/jailer/spawner.h"

#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include "jail/jailer/wire.h"
#include "jail/plan_message.h"
#include "jail/privileges.h"

namespace pondpilot::jail {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kStartPatience(10);
constexpr int kNotJailed = 126;
constexpr int kNotRun = 127;
// What a shell says of a process that SIGKILL has ended.
constexpr int kKilledStatus = 128 + SIGKILL;
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

base::Descriptor OpenProcess(pid_t process) {
  return base::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
}

// Its own ids under the same numbers, as the only ones that there are.
bool MapUser(pid_t process) {
  const std::string folder = "/proc/" + std::to_string(process);
  const auto one = [](uint32_t id) { return std::to_string(id) + " " + std::to_string(id) + " 1\n"; };
  return WriteFile(folder + "/setgroups", "deny") && WriteFile(folder + "/uid_map", one(::geteuid())) &&
         WriteFile(folder + "/gid_map", one(::getegid()));
}

// All that the child says until it goes on or ends; nullopt when neither happens in time.
std::optional<std::string> ReadReport(int line) {
  std::string text;
  const auto end = std::chrono::steady_clock::now() + kStartPatience;
  while (text.size() < kMaxReport) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
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

void Kill(pid_t process) {
  (void)::kill(process, SIGKILL);
  (void)::waitpid(process, nullptr, 0);
}

std::optional<uint32_t> UserOf(pid_t process) {
  struct stat info{};
  if (::stat(("/proc/" + std::to_string(process)).c_str(), &info) != 0) return std::nullopt;
  return info.st_uid;
}

bool IsName(const std::string& id) {
  return !id.empty() && id.size() <= 64 && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace

std::optional<uint64_t> StartTime(pid_t process) {
  const std::string text = ReadFile("/proc/" + std::to_string(process) + "/stat");
  // The second field is the program's name in parentheses, and may hold anything.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int i = 3; i < 22; ++i) fields >> field;
  uint64_t start = 0;
  if (!(fields >> start)) return std::nullopt;
  return start;
}

std::expected<Spawner, std::string> Spawner::Open(SpawnerOptions options) {
  Spawner spawner(std::move(options));
  // The kernel counts a user's threads together, also of containers that don't see each other: two proxies on
  // one machine shall not begin with the same user.
  uint32_t any = 0;
  if (::getrandom(&any, sizeof(any), 0) == sizeof(any)) spawner.next_user_ = any % spawner.options_.users;
  std::error_code error;
  fs::create_directories(spawner.options_.spill_folder, error);
  // Passed through by workers, and listed by nobody.
  if (!error) fs::permissions(spawner.options_.spill_folder, fs::perms(0711), error);
  if (error) {
    return std::unexpected("The folder for what workers spill to disk, " + spawner.options_.spill_folder +
                           ", can't be used: " + error.message() + ".");
  }
  if (std::string failed = spawner.Probe(); !failed.empty()) return std::unexpected(failed);
  return spawner;
}

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
  const auto started = Start(plan, true, "");
  if (!started) return "No process can be started: " + started.error() + ".";
  const auto text = ReadReport(started->line.get());
  Kill(started->process);
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

void Spawner::UseZygote() {
  if (zygote_) return;
  // Workers that it forks have a go-between as their parent, which leaves them to this process.
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return;
  zygote_ = std::make_unique<Zygote>(options_.program);
  zygote_->Start();
}

// A child that waits at the other end of `own_end` to be told that all is prepared. `forked`: by the zygote,
// which means that it has to be told its plan as well.
std::expected<pid_t, std::string> Spawner::Begin(const Plan& plan, bool probe, const base::Descriptor& line,
                                                 base::Descriptor& own_end, bool& forked) {
  if (!probe && zygote_ && zygote_->ready()) {
    const auto child = zygote_->Fork(namespaces_, line.get());
    forked = child.has_value();
    if (forked) return child;
  }
  const pid_t child = Fork(namespaces_);
  if (child < 0) return std::unexpected(Why(errno));
  if (child > 0) return child;
  own_end.Close();
  char byte = 0;
  if (::read(line.get(), &byte, 1) != 1) ::_exit(kNotJailed);
  int keep = line.get();
  const Report done = EnterJail(plan, keep);
  std::string said = probe ? Encode(done) : WhatFailed(plan, done);
  if (said.empty()) said = "The worker's program can't be run: " + RunProgram(plan) + ".";
  (void)!::write(keep, said.data(), said.size());
  ::_exit(probe ? 0 : kNotRun);
}

std::expected<Spawner::Started, std::string> Spawner::Start(const Plan& plan, bool probe,
                                                            const std::string& cgroup) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return std::unexpected(Why(errno));
  base::Descriptor own_end(ends[0]);
  base::Descriptor line(ends[1]);

  Plan own = plan;
  own.namespaces = namespaces_ != 0;
  own.layers = probe ? std::vector<Layer>{} : layers_;
  bool forked = false;
  const auto child = Begin(own, probe, line, own_end, forked);
  if (!child) return std::unexpected(child.error());
  line.Close();
  std::string failed;
  if ((namespaces_ & CLONE_NEWUSER) != 0 && !MapUser(*child))
    failed = "a user namespace can't be set up: " + Why(errno);
  if (failed.empty() && !cgroup.empty() && cgroups_) failed = cgroups_->Add(cgroup, *child);
  const Message go = forked ? ToMessage(own) : Message{"go", {}};
  if (failed.empty() && !Send(own_end.get(), go, forked ? own.socket : -1)) failed = Why(errno);
  if (!failed.empty()) {
    Kill(*child);
    return std::unexpected(failed);
  }
  return Started{.process = *child, .line = std::move(own_end)};
}

std::optional<uint32_t> Spawner::TakeUser() {
  if (!own_users_) return std::nullopt;
  // The one that was given back longest ago: what its last owner may have left is the least likely to matter.
  for (uint32_t tried = 0; tried < options_.users; ++tried) {
    const uint32_t user = options_.first_user + next_user_;
    next_user_ = (next_user_ + 1) % options_.users;
    const auto has = [user](const auto& worker) { return worker.second.spawned.user == user; };
    if (std::ranges::none_of(workers_, has)) return user;
  }
  return std::nullopt;
}

std::expected<Spawned, std::string> Spawner::Launch(const WorkerRequest& request, int socket) {
  if (!IsName(request.id)) return std::unexpected("That is no name for a worker.");
  if (Runs(request.id)) return std::unexpected("There is a worker of that name.");
  Plan plan;
  plan.program = options_.program;
  plan.title = request.id;
  plan.environment = request.environment;
  plan.amounts = request.amounts;
  plan.user = TakeUser();
  plan.turn = turn_++;
  plan.files.readable = request.files;
  plan.files.writable = {SpillOf(request.id)};
  plan.socket = socket;
  if (own_users_ && !plan.user) return std::unexpected("All user ids that workers may have are in use.");

  const std::string spill = SpillOf(request.id);
  const auto fail = [&](const std::string& why) {
    ClearAway(request.id, plan.user.value_or(0));
    return std::unexpected(why);
  };
  if (::mkdir(spill.c_str(), S_IRWXU) != 0)
    return std::unexpected(spill + " can't be made: " + Why(errno) + ".");
  if (plan.user && ::chown(spill.c_str(), *plan.user, *plan.user) != 0)
    return fail(spill + ": " + Why(errno) + ".");
  if (cgroups_) {
    if (const std::string failed = cgroups_->Make(request.id, request.amounts); !failed.empty()) {
      return fail("The worker's cgroup can't be made: " + failed + ".");
    }
  }
  const auto started = Start(plan, false, request.id);
  if (!started) return fail("The worker's process can't be started: " + started.error() + ".");
  Worker worker{.id = request.id,
                .spawned = {.process = started->process, .start = 0, .user = plan.user.value_or(0)},
                .handle = OpenProcess(started->process)};
  const auto said = ReadReport(started->line.get());
  const auto start = StartTime(started->process);
  if (!said || !said->empty() || !start || !worker.handle.valid()) {
    Kill(started->process);
    return fail(said && !said->empty() ? *said : "The worker's process did not come to run its program.");
  }
  worker.spawned.start = *start;
  const Spawned spawned = worker.spawned;
  workers_.emplace(spawned.process, std::move(worker));
  return spawned;
}

bool Spawner::Adopt(const std::string& id, const Spawned& worker) {
  if (!IsName(id) || worker.process <= 1 || workers_.contains(worker.process)) return false;
  // Only what a spawner like this one can have started: nobody may have other processes signalled.
  const bool own = worker.user == 0 ? !own_users_
                                    : own_users_ && worker.user >= options_.first_user &&
                                          worker.user - options_.first_user < options_.users;
  if (!own) return false;
  base::Descriptor handle = OpenProcess(worker.process);
  // After the handle was opened: from here on it can't be another process's.
  if (!handle.valid() || StartTime(worker.process) != worker.start ||
      UserOf(worker.process) != (worker.user == 0 ? ::geteuid() : worker.user)) {
    return false;
  }
  workers_.emplace(worker.process,
                   Worker{.id = id, .spawned = worker, .handle = std::move(handle), .own_child = false});
  return true;
}

bool Spawner::Runs(const std::string& id) const {
  return std::ranges::any_of(workers_, [&](const auto& worker) { return worker.second.id == id; });
}

bool Spawner::Clear(const std::string& id) const {
  if (!IsName(id) || Runs(id)) return false;
  ClearAway(id, 0);
  return true;
}

bool Spawner::Signal(const Spawned& worker, int number) {
  const auto found = workers_.find(worker.process);
  if (found == workers_.end() || found->second.spawned.start != worker.start) return false;
  if (number == SIGKILL) found->second.killed_here = true;
  return ::syscall(SYS_pidfd_send_signal, found->second.handle.get(), number, nullptr, 0) == 0;
}

std::vector<int> Spawner::Watched() const {
  std::vector<int> descriptors;
  for (const auto& [process, worker] : workers_) descriptors.push_back(worker.handle.get());
  if (zygote_ && zygote_->watched() >= 0) descriptors.push_back(zygote_->watched());
  return descriptors;
}

std::vector<Ended> Spawner::Collect() {
  std::vector<Ended> ended;
  for (auto it = workers_.begin(); it != workers_.end();) {
    Worker& worker = it->second;
    pollfd look{worker.handle.get(), POLLIN, 0};
    if (::poll(&look, 1, 0) != 1) {
      ++it;
      continue;
    }
    Ended one{.worker = worker.spawned, .status = kKilledStatus};
    siginfo_t info{};
    if (worker.own_child && ::waitid(P_PID, static_cast<id_t>(worker.spawned.process), &info, WEXITED) == 0) {
      one.status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    }
    if (cgroups_ && worker.own_child) {
      one.out_of_memory = cgroups_->OutOfMemory(worker.id);
    } else if (one.status == kKilledStatus && !worker.killed_here) {
      // Nobody here has killed it. If the kernel has killed in the container meanwhile, that was it.
      const uint64_t kills = OutOfMemoryKills(place_);
      one.out_of_memory = kills > kills_seen_;
      kills_seen_ = kills;
    }
    ClearAway(worker.id, worker.spawned.user);
    it = workers_.erase(it);
    ended.push_back(one);
  }
  return ended;
}

// A worker can't fork. Should one have found a way, what is left of it must not meet the next of its user id.
void Spawner::EndUser(uint32_t user) const {
  const pid_t child = ::fork();
  if (child == 0) {
    if (BecomeUser(user, user).empty()) (void)::kill(-1, SIGKILL);
    ::_exit(0);
  }
  if (child > 0) (void)::waitpid(child, nullptr, 0);
}

void Spawner::ClearAway(const std::string& id, uint32_t user) const {
  if (user != 0) EndUser(user);
  std::error_code ignored;
  fs::remove_all(SpillOf(id), ignored);
  if (cgroups_) cgroups_->Remove(id);
}

}  // namespace pondpilot::jail
