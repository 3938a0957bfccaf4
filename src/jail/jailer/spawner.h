#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/unix_socket.h"
#include "jail/cgroup.h"
#include "jail/enter.h"
#include "jail/jailer/zygote.h"
#include "jail/layers.h"

namespace pondpilot::jail {

struct SpawnerOptions {
  std::string program;       // the worker
  std::string spill_folder;  // each worker gets a folder in it
  // User ids that workers may get, one each, where this process may give them.
  uint32_t first_user = 40'000;
  uint32_t users = 10'000;
};

struct WorkerRequest {
  std::string id;  // 1 to 64 letters, digits, "-": names folders
  std::vector<std::string> environment;
  Amounts amounts;
  std::vector<std::string> files;  // absolute paths that it may read
};

struct Spawned {
  pid_t process = 0;
  uint64_t start = 0;  // /proc/PID/stat's start time: with it a process id is never taken for another's
  uint32_t user = 0;   // 0: the spawner's own
};

struct Ended {
  Spawned worker;
  int status = 0;  // exit code, or 128 and the signal's number; of one that was adopted nobody knows: 137
  bool out_of_memory = false;
};

// Starts workers in jails and sees to their end. Single-threaded, in a process that is: it forks.
class Spawner {
 public:
  // Tries each layer on a process that then ends. From then on a worker is started with all layers that could
  // be put on, or not at all.
  static std::expected<Spawner, std::string> Open(SpawnerOptions options);

  const Report& report() const { return report_; }
  const SpawnerOptions& options() const { return options_; }

  // From now on workers are forked by a zygote while there is one, and run their program by themselves
  // otherwise. Waits until the zygote is there or has failed.
  void UseZygote();
  // "ready", or why not; empty when nobody has asked for it.
  std::string ZygoteState() const;
  // nullptr: it is not used.
  const Zygote* zygote() const { return zygote_.get(); }
  // To be called when a watched descriptor is readable and when Zygote::due() is over. True when the zygote
  // has been lost, or is there again.
  bool TendZygote() { return zygote_ && zygote_->Tend(); }

  // `socket` is what the worker is to listen on. The error is a sentence; nothing is left behind then.
  std::expected<Spawned, std::string> Launch(const WorkerRequest& request, int socket);
  // Looks after a worker that another spawner has started. False: there is no such worker.
  bool Adopt(const std::string& id, const Spawned& worker);
  // Removes what a worker that no longer runs has left behind. False: it does run, or that is no name.
  bool Clear(const std::string& id) const;
  // False: it does not run, or was not started or adopted here.
  bool Signal(const Spawned& worker, int number);

  // Descriptors that become readable when a worker has ended, or the zygote.
  std::vector<int> Watched() const;
  // Clears away after those that have ended since the last call.
  std::vector<Ended> Collect();

 private:
  struct Worker {
    std::string id;
    Spawned spawned;
    base::Descriptor handle;  // a pidfd
    bool own_child = true;
    bool killed_here = false;
  };
  struct Started {
    pid_t process = -1;
    base::Descriptor line;  // what the child says; ends when it is in its jail and goes on
  };
  enum class Way {
    kProbe,  // enters a jail as far as it can, and ends
    kRun,    // runs the worker's program
    kFork,   // comes from the zygote, which must be ready
  };

  explicit Spawner(SpawnerOptions options) : options_(std::move(options)) {}
  std::string Probe();
  void ChooseNamespaces();
  Plan Completed(Plan plan, Way way) const;
  std::expected<Started, std::string> Start(const Plan& plan, Way way, const std::string& cgroup);
  std::expected<pid_t, std::string> Begin(const Plan& plan, Way way, const base::Descriptor& line,
                                          base::Descriptor& own_end);
  // A worker in its jail. The error is a sentence; the process has been killed then.
  std::expected<Worker, std::string> StartIn(const Plan& plan, Way way, const std::string& id,
                                             std::chrono::steady_clock::time_point end);
  std::expected<Worker, std::string> StartEitherWay(Plan plan, const std::string& id);
  Ended Bury(std::map<pid_t, Worker>::iterator position);
  std::optional<uint32_t> TakeUser();
  bool Runs(const std::string& id) const;
  void EndUser(uint32_t user) const;
  std::string SpillOf(const std::string& id) const { return options_.spill_folder + "/" + id; }
  void ClearAway(const std::string& id, uint32_t user) const;

  SpawnerOptions options_;
  Report report_;
  std::vector<Layer> layers_;
  bool own_users_ = false;
  uint64_t namespaces_ = 0;  // flags for clone
  CgroupPlace place_;
  std::optional<Cgroups> cgroups_;
  uint64_t kills_seen_ = 0;
  uint32_t next_user_ = 0;
  uint32_t turn_ = 0;
  std::map<pid_t, Worker> workers_;
  std::unique_ptr<Zygote> zygote_;
  std::string zygote_denied_;  // why there can't be one
};

// The start time of a process; nullopt when there is none.
std::optional<uint64_t> StartTime(pid_t process);

}  // namespace pondpilot::jail
