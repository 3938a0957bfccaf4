#include "jail/enter.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>

#include "jail/private_root.h"
#include "jail/privileges.h"
#include "jail/seccomp.h"

namespace pondpilot::jail {
namespace {

#if defined(__x86_64__)
constexpr char kLoader[] = "/lib64/ld-linux-x86-64.so.2";
#else
constexpr char kLoader[] = "/lib/ld-linux-aarch64.so.1";
#endif

// Libraries, time zones, certificates, and how names are resolved. Nothing here is the operator's or a
// user's.
constexpr const char* kReadable[] = {
    "/usr", "/lib", "/lib64", "/etc/ssl", "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
    "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/localtime", "/etc/timezone",
    "/etc/ld.so.cache", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/proc/self",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/sys/net/core/somaxconn", "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage",
    // DuckDB looks for its processors here and ends when it finds the file but may not read it.
    "/sys/fs/cgroup"};

std::string Failed(const char* what) {
  return std::string(what) + ": " + std::generic_category().message(errno);
}

// Signals as a new program expects them. A file that grows too large, and a reader that has gone, are errors,
// not deaths.
void ResetSignals() {
  for (int number = 1; number < NSIG; ++number) (void)::signal(number, SIG_DFL);
  (void)::signal(SIGXFSZ, SIG_IGN);
  (void)::signal(SIGPIPE, SIG_IGN);
  // Waits until the worker looks for it: without a handler the first process of a namespace would never get
  // it.
  sigset_t asked_to_end;
  sigemptyset(&asked_to_end);
  sigaddset(&asked_to_end, SIGTERM);
  sigaddset(&asked_to_end, SIGINT);
  (void)::pthread_sigmask(SIG_SETMASK, &asked_to_end, nullptr);
}

// 0 reads nothing, 1 and 2 stay, the socket and `keep` stay; all others are closed, not left to
// close-on-exec.
std::string KeepDescriptors(int socket, int& keep) {
  // Out of the way of the number that the socket gets.
  const int kept = keep < 0 ? -1 : ::fcntl(keep, F_DUPFD_CLOEXEC, kSocketDescriptor + 2);
  if (keep >= 0 && kept < 0) return Failed("dup");
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, 0) < 0) return Failed("/dev/null");
  if (socket >= 0 && socket != kSocketDescriptor && ::dup2(socket, kSocketDescriptor) < 0)
    return Failed("dup2");
  if (socket == kSocketDescriptor && ::fcntl(socket, F_SETFD, 0) != 0) return Failed("fcntl");
  keep = kept;
  const unsigned first = socket >= 0 ? kSocketDescriptor + 1 : kSocketDescriptor;
  if (kept < 0) return ::close_range(first, ~0U, 0) == 0 ? std::string() : Failed("close_range");
  const auto middle = static_cast<unsigned>(kept);
  if ((first < middle && ::close_range(first, middle - 1, 0) != 0) ||
      ::close_range(middle + 1, ~0U, 0) != 0) {
    return Failed("close_range");
  }
  return {};
}

}  // namespace

FileAccess FilesFor(const std::string& program) {
  FileAccess files;
  files.programs = {program, kLoader};
  files.readable.assign(std::begin(kReadable), std::end(kReadable));
  return files;
}

Report EnterJail(const Plan& plan, int& keep) {
  Report report;
  const auto wanted = [&](Layer layer) {
    return plan.layers.empty() || std::ranges::contains(plan.layers, layer);
  };
  // False: the plan lists this layer, and it failed.
  const auto put_on = [&](Layer layer, std::string failed, std::string missing = {}) {
    if (failed.empty()) {
      report.Applied(layer, std::move(missing));
      return true;
    }
    report.Denied(layer, std::move(failed));
    return plan.layers.empty();
  };

  ResetSignals();
  (void)::setsid();
  if (std::string failed = KeepDescriptors(plan.socket, keep); !failed.empty()) {
    for (size_t i = 0; i < kLayerCount; ++i) report.Denied(static_cast<Layer>(i), "descriptors: " + failed);
    return report;
  }

  FileAccess files = FilesFor(plan.program);
  files.readable.insert(files.readable.end(), plan.files.readable.begin(), plan.files.readable.end());
  files.writable = plan.files.writable;
  if (!plan.runs_program) files.programs.clear();
  if (wanted(Layer::kNamespaces)) {
    std::string failed = plan.namespaces ? "" : "not made";
    if (plan.namespaces && ::sethostname("worker", 6) != 0) failed = Failed("the host's name");
    if (!put_on(Layer::kNamespaces, std::move(failed))) return report;
  }
  if (wanted(Layer::kMounts)) {
    std::string failed = plan.namespaces ? EnterPrivateRoot(files, true) : "needs namespaces";
    // Half a root is none: what runs in it would not be what was asked for.
    if (!put_on(Layer::kMounts, std::move(failed))) return report;
  }
  // What the worker makes is its own.
  (void)::umask(S_IRWXG | S_IRWXO);
  if (wanted(Layer::kLimits)) {
    std::string missing;
    std::string failed = LimitProcess(plan.amounts, plan.user.has_value(), plan.turn, missing);
    if (!put_on(Layer::kLimits, std::move(failed), std::move(missing))) return report;
  }
  // Without the right to, it is empty of what could be got back anyway: no_new_privs sees to that.
  const bool may_drop = HasCapability(CAP_SETPCAP);
  std::string bounding = may_drop ? DropBoundingSet() : "";
  if (wanted(Layer::kUser)) {
    std::string failed =
        plan.user ? BecomeUser(*plan.user, *plan.user)
                  : "needs CAP_SETUID, CAP_SETGID and CAP_CHOWN: start the proxy's container as root";
    // A new user id hides the process from its own user; running a program would undo that as well. The user
    // is nobody else's, and whoever adopts the worker tells it by its owner.
    if (failed.empty() && !plan.runs_program && ::prctl(PR_SET_DUMPABLE, 1) != 0) failed = Failed("dumpable");
    if (!put_on(Layer::kUser, std::move(failed))) return report;
  }
  if (wanted(Layer::kPrivileges)) {
    std::string failed = bounding.empty() ? DropPrivileges() : std::move(bounding);
    if (!put_on(Layer::kPrivileges, std::move(failed))) return report;
  }
  // Landlock knows files by their inodes, and that of /proc/self lives only as long as somebody looks at it.
  (void)::open("/proc/self", O_PATH);  // NOLINT(android-cloexec-open): meant to stay open
  if (wanted(Layer::kLandlock)) {
    std::string missing;
    std::string failed = RestrictFiles(files, missing);
    if (!put_on(Layer::kLandlock, std::move(failed), std::move(missing))) return report;
  }
  if (wanted(Layer::kSeccomp)) {
    (void)put_on(Layer::kSeccomp, InstallFilter(WorkerFilter(::getpid(), plan.runs_program)));
  }
  return report;
}

std::string WhatFailed(const Plan& plan, const Report& report) {
  for (const Layer layer : plan.layers) {
    // The cgroup is the parent's business.
    if (layer == Layer::kCgroup || report[layer].applied) continue;
    return "The isolation of a worker failed at " + std::string(ToString(layer)) + ": " +
           report[layer].reason + ".";
  }
  return {};
}

std::string RunProgram(const Plan& plan) {
  std::vector<char*> environment;
  for (const std::string& entry : plan.environment) environment.push_back(const_cast<char*>(entry.c_str()));
  environment.push_back(nullptr);
  std::string name = plan.program;
  char* const arguments[] = {name.data(), nullptr};
  (void)::execve(plan.program.c_str(), arguments, environment.data());
  return Failed(plan.program.c_str());
}

}  // namespace pondpilot::jail
