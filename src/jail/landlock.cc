#include "jail/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "base/unix_socket.h"

namespace pondpilot::jail {
namespace {

constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr uint64_t kReadFolder = kRead | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kRun = kRead | LANDLOCK_ACCESS_FS_EXECUTE;
// Everything that the first version knew.
constexpr uint64_t kFirstVersion = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

// The versions in which the rest came.
constexpr long kRefer = 2;
constexpr long kTruncate = 3;
constexpr long kNetwork = 4;
constexpr long kDevices = 5;
constexpr long kScopes = 6;

uint64_t HandledBy(long version) {
  uint64_t handled = kFirstVersion;
  if (version >= kRefer) handled |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= kTruncate) handled |= LANDLOCK_ACCESS_FS_TRUNCATE;
  if (version >= kDevices) handled |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
  return handled;
}

uint64_t Writable(uint64_t handled) {
  return handled &
         (kReadFolder | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
          LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
          LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE);
}

std::string Message(int error) { return std::generic_category().message(error); }

// Adds what is wanted at `path`. Empty: done, or there is no such path.
std::string Allow(int rules, const std::string& path, uint64_t wanted) {
  const base::Descriptor opened(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!opened.valid()) return errno == ENOENT ? std::string() : path + ": " + Message(errno);
  struct stat info{};
  if (::fstat(opened.get(), &info) != 0) return path + ": " + Message(errno);
  // What only folders have is refused for a file.
  if (!S_ISDIR(info.st_mode)) wanted &= kRun | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
  landlock_path_beneath_attr rule{};
  rule.allowed_access = wanted;
  rule.parent_fd = opened.get();
  if (::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) return {};
  return path + ": " + Message(errno);
}

}  // namespace

std::string RestrictFiles(const FileAccess& access, std::string& missing) {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 0) {
    if (errno == ENOSYS) return "this kernel is built without Landlock, or older than 5.13";
    if (errno == EOPNOTSUPP) return "this kernel has Landlock, but it is not switched on (boot option lsm=)";
    if (errno == EPERM) return "the container's system call filter refuses Landlock";
    return Message(errno);
  }
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = HandledBy(version);
  if (version >= kNetwork) attributes.handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP;
  if (version >= kScopes) {
    attributes.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
  } else {
    missing = "this kernel's Landlock (version " + std::to_string(version) +
              ") does not keep signals and abstract sockets inside";
  }
  // Older kernels know a shorter structure and take a longer one whose rest is zero.
  const base::Descriptor rules(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0)));
  if (!rules.valid()) return Message(errno);
  const auto allow_each = [&](const std::vector<std::string>& paths, uint64_t wanted) -> std::string {
    for (const std::string& path : paths) {
      if (std::string failed = Allow(rules.get(), path, wanted); !failed.empty()) return failed;
    }
    return {};
  };
  if (std::string failed = allow_each(access.programs, kRun); !failed.empty()) return failed;
  if (std::string failed = allow_each(access.readable, kReadFolder); !failed.empty()) return failed;
  if (std::string failed = allow_each(access.writable, Writable(attributes.handled_access_fs));
      !failed.empty()) {
    return failed;
  }
  if (version >= kNetwork) {
    // Port 0: one that is free, which the kernel picks.
    landlock_net_port_attr any{};
    any.allowed_access = LANDLOCK_ACCESS_NET_BIND_TCP;
    if (::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_NET_PORT, &any, 0) != 0) {
      return "ports: " + Message(errno);
    }
  }
  if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) return Message(errno);
  return {};
}

}  // namespace pondpilot::jail
