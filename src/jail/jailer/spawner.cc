#include "jail/jailer/spawner.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include "jail/jailer/children.h"
#include "jail/privileges.h"

namespace pondpilot::jail {
namespace {

namespace fs = std::filesystem;

// What a shell says of a process that SIGKILL has ended.
constexpr int kKilledStatus = 128 + SIGKILL;

std::string Why(int error) { return std::generic_category().message(error); }

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
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
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

void Spawner::UseZygote() {
  if (zygote_) return;
  // Workers that it forks have a go-between as their parent, which leaves them to this process.
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    zygote_denied_ = "the jailer can't become the parent of what it forks: " + Why(errno);
    return;
  }
  zygote_ = std::make_unique<Zygote>(options_.program);
  zygote_->Start();
}

std::string Spawner::ZygoteState() const {
  if (!zygote_) return zygote_denied_;
  if (zygote_->ready()) return "ready";
  return zygote_->reason().empty() ? "it is being started" : zygote_->reason();
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
  auto worker = StartEitherWay(plan, request.id);
  if (!worker) return fail(worker.error());
  const Spawned spawned = worker->spawned;
  workers_.emplace(spawned.process, std::move(*worker));
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
    const auto worker = it++;
    pollfd look{worker->second.handle.get(), POLLIN, 0};
    if (::poll(&look, 1, 0) == 1) ended.push_back(Bury(worker));
  }
  // What a zygote has left that was lost in the middle of a fork: its go-between, a worker nobody told what
  // to become. The kernel names one child at a time, so those that are known don't stay before the others.
  while (const pid_t child = EndedChild()) {
    if (const auto worker = workers_.find(child); worker != workers_.end()) {
      ended.push_back(Bury(worker));
    } else if (zygote_ && zygote_->process() == child) {
      zygote_->HasEnded();
    } else if (TakeStatus(child) < 0) {
      break;
    }
  }
  return ended;
}

Ended Spawner::Bury(std::map<pid_t, Worker>::iterator position) {
  const Worker& worker = position->second;
  Ended one{.worker = worker.spawned, .status = kKilledStatus};
  if (const int status = TakeStatus(worker.spawned.process); status >= 0) one.status = status;
  if (cgroups_ && worker.own_child) {
    one.out_of_memory = cgroups_->OutOfMemory(worker.id);
  } else if (one.status == kKilledStatus && !worker.killed_here) {
    // Nobody here has killed it. If the kernel has killed in the container meanwhile, that was it.
    const uint64_t kills = OutOfMemoryKills(place_);
    one.out_of_memory = kills > kills_seen_;
    kills_seen_ = kills;
  }
  ClearAway(worker.id, worker.spawned.user);
  workers_.erase(position);
  return one;
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
