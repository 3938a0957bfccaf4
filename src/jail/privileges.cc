#include "jail/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <system_error>

namespace pondpilot::jail {
namespace {

std::string Failed(const char* what) {
  return std::string(what) + ": " + std::generic_category().message(errno);
}

using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

std::string SetCapabilities(Sets sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capset, &header, sets.data()) == 0 ? std::string() : Failed("capset");
}

std::string KeepOnly(std::initializer_list<int> kept) {
  Sets sets{};
  for (const int capability : kept) {
    if (!HasCapability(capability)) continue;
    sets[static_cast<size_t>(capability) / 32].effective |= 1U << (capability % 32);
    sets[static_cast<size_t>(capability) / 32].permitted |= 1U << (capability % 32);
  }
  return SetCapabilities(sets);
}

}  // namespace

bool HasCapability(int capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  Sets sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return false;
  return (sets[static_cast<size_t>(capability) / 32].effective >> (capability % 32) & 1) != 0;
}

std::string KeepOnlySpawningCapabilities() {
  // Other users' ids for workers and their folders, the bounding set, and, where they are there, namespaces,
  // mounts and limits.
  return KeepOnly({CAP_SETUID, CAP_SETGID, CAP_CHOWN, CAP_KILL, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SETPCAP,
                   CAP_SYS_RESOURCE, CAP_SYS_NICE, CAP_SYS_ADMIN});
}

std::string KeepOnlyJailingCapabilities() {
  return KeepOnly(
      {CAP_SETUID, CAP_SETGID, CAP_DAC_OVERRIDE, CAP_SETPCAP, CAP_SYS_RESOURCE, CAP_SYS_NICE, CAP_SYS_ADMIN});
}

std::string DropBoundingSet() {
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    const int there = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (there < 0) break;  // above what this kernel knows
    if (there == 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return Failed("the bounding set");
  }
  return {};
}

std::string BecomeUser(uid_t user, gid_t group) {
  if (::setgroups(0, nullptr) != 0) return Failed("setgroups");
  if (::setresgid(group, group, group) != 0) return Failed("setresgid");
  if (::setresuid(user, user, user) != 0) return Failed("setresuid");
  // Had it been without effect, nothing after this would be worth anything.
  if (::geteuid() != user || ::getegid() != group || ::setresuid(0, 0, 0) == 0)
    return "the user id did not stick";
  return {};
}

std::string DropPrivileges() {
  if (std::string failed = SetCapabilities({}); !failed.empty()) return failed;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failed("no_new_privs");
  return {};
}

}  // namespace pondpilot::jail
