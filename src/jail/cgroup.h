#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jail/limits.h"

namespace pondpilot::jail {

// Where this process's own cgroup is for each controller ("memory", "cpu", "pids"): a folder. With version 2
// of the interface all of them are in one.
struct CgroupPlace {
  std::map<std::string, std::filesystem::path> folders;
  bool unified = false;  // version 2
};

// From the texts of /proc/self/mountinfo and /proc/self/cgroup; controllers that are nowhere are missing.
CgroupPlace FindCgroups(std::string_view mountinfo, std::string_view own);

// A cgroup for each worker, below this process's own.
class Cgroups {
 public:
  // The error says why there can be none: most often that the container sees them read-only.
  static std::expected<Cgroups, std::string> Open(CgroupPlace place);

  // Makes the cgroup of one worker with its limits. Empty: done; else why not, and nothing is left behind.
  std::string Make(const std::string& name, const Amounts& amounts) const;
  // Empty: done; else why not.
  std::string Add(const std::string& name, pid_t process) const;
  // Has the kernel killed in it for want of memory?
  bool OutOfMemory(const std::string& name) const;
  // When nothing runs in it any more; one that is gone already is no error.
  void Remove(const std::string& name) const;

 private:
  explicit Cgroups(CgroupPlace place) : place_(std::move(place)) {}
  std::vector<std::filesystem::path> FoldersOf(const std::string& name) const;

  CgroupPlace place_;
};

// How often the kernel has killed for want of memory in this process's own cgroup, as far as it can be read.
uint64_t OutOfMemoryKills(const CgroupPlace& place);

}  // namespace pondpilot::jail
