#include "jail/limits.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <system_error>
#include <vector>

namespace pondpilot::jail {
namespace {

constexpr rlim_t kOpenFiles = 4096;
// DuckDB bounds what it spills to this many times the memory (worker/engine/memory_plan.cc); no file can hold
// more.
constexpr rlim_t kSpillFactor = 8;
// Behind the proxy where both want the processor.
constexpr int kNice = 5;

std::string Set(__rlimit_resource_t which, rlim_t most, const char* name) {
  rlimit now{};
  if (::getrlimit(which, &now) != 0) return std::string(name) + ": " + std::generic_category().message(errno);
  // What is lower already stays: raising takes a privilege.
  const rlim_t limit = std::min(most, now.rlim_max);
  const rlimit wanted{limit, limit};
  if (::setrlimit(which, &wanted) == 0) return {};
  return std::string(name) + ": " + std::generic_category().message(errno);
}

std::string PickProcessors(double cores, uint32_t turn) {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return std::generic_category().message(errno);
  std::vector<size_t> processors;
  for (size_t i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &allowed)) processors.push_back(i);
  }
  const auto count = static_cast<size_t>(std::max(1.0, std::ceil(cores)));
  if (count >= processors.size()) return {};
  cpu_set_t picked;
  CPU_ZERO(&picked);
  for (size_t i = 0; i < count; ++i) CPU_SET(processors[(turn * count + i) % processors.size()], &picked);
  if (::sched_setaffinity(0, sizeof(picked), &picked) == 0) return {};
  return std::generic_category().message(errno);
}

}  // namespace

std::string LimitProcess(const Amounts& amounts, bool own_user, uint32_t turn, std::string& missing) {
  std::string failed;
  const auto set = [&](__rlimit_resource_t which, rlim_t most, const char* name) {
    if (failed.empty()) failed = Set(which, most, name);
  };
  set(RLIMIT_DATA, amounts.memory_bytes, "data segment");
  set(RLIMIT_CORE, 0, "core dumps");
  set(RLIMIT_NOFILE, kOpenFiles, "open files");
  set(RLIMIT_FSIZE, amounts.memory_bytes * kSpillFactor, "file size");
  set(RLIMIT_MEMLOCK, 0, "locked memory");
  set(RLIMIT_MSGQUEUE, 0, "message queues");
  // It counts the threads of a user, so one that others have too can't be bounded by it.
  if (own_user) {
    set(RLIMIT_NPROC, amounts.threads, "threads");
  } else {
    missing = "the number of threads: needs a user id of its own or a cgroup";
  }
  if (!failed.empty()) return failed;
  if (const std::string not_picked = PickProcessors(amounts.cpu_cores, turn); !not_picked.empty()) {
    missing += (missing.empty() ? "" : "; ") + ("processors: " + not_picked);
  }
  (void)::setpriority(PRIO_PROCESS, 0, kNice);
  return {};
}

}  // namespace pondpilot::jail
