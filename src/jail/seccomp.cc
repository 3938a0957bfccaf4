#include "jail/seccomp.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <system_error>

namespace pondpilot::jail {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "The system call filter knows x86-64 and arm64."
#endif

// Calls above this one came after the list was made.
constexpr uint32_t kHighestKnown = 469;

// Allowed whatever their arguments.
constexpr uint32_t kAllowed[] = {
    // memory
    SYS_brk,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_msync,
    SYS_mincore,
    SYS_membarrier,
    SYS_get_mempolicy,
    // files: which ones, Landlock and the user id say
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_openat,
    SYS_close,
    SYS_close_range,
    SYS_lseek,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_ftruncate,
    SYS_truncate,
    SYS_fallocate,
    SYS_fsync,
    SYS_fdatasync,
    SYS_sync_file_range,
    SYS_fadvise64,
    SYS_flock,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat2,
    SYS_utimensat,
    SYS_umask,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_sendfile,
    SYS_copy_file_range,
    SYS_splice,
    SYS_fchmod,
    // network: TCP and UDP; see the rule for socket()
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_getsockname,
    SYS_getpeername,
    SYS_setsockopt,
    SYS_getsockopt,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_recvmmsg,
    SYS_shutdown,
    // waiting
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_eventfd2,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_restart_syscall,
    SYS_sched_yield,
    // threads
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_set_tid_address,
    SYS_rseq,
    SYS_gettid,
    SYS_exit,
    SYS_exit_group,
    SYS_sched_getaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_getcpu,
    // signals to oneself
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend,
    SYS_sigaltstack,
    // time and facts
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_times,
    SYS_getpid,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getgroups,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getpgid,
    SYS_getsid,
    SYS_getpriority,
    SYS_getrusage,
    SYS_getrlimit,
    SYS_uname,
    SYS_sysinfo,
    SYS_getrandom,
    SYS_setrlimit,
    SYS_getitimer,
    SYS_setitimer,
    SYS_seccomp,  // filters only ever add up
    SYS_capget,   // dropped already; read by libraries that look what they may do
#if defined(__x86_64__)
    // the same by their older names
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_getdents,
    SYS_mkdir,
    SYS_rmdir,
    SYS_unlink,
    SYS_rename,
    SYS_dup2,
    SYS_pipe,
    SYS_poll,
    SYS_select,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_eventfd,
    SYS_getpgrp,
    SYS_time,
    SYS_arch_prctl,
    SYS_alarm,
    SYS_pause,
    SYS_chmod,
#endif
#if defined(__NR_renameat)
    SYS_renameat,
#endif
};

// One condition on an argument: its bits under `mask` are `value`. The lower half is looked at: no argument
// below has a meaning in its upper half.
struct Condition {
  uint32_t index;
  uint32_t mask;
  uint32_t value;
};
using Case = std::vector<Condition>;  // all of them must hold

constexpr uint32_t kAny = ~uint32_t{0};  // every bit

class Program {
 public:
  Program() {
    // Another architecture's calls have other numbers.
    Load(offsetof(seccomp_data, arch));
    instructions_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0));
    Return(SECCOMP_RET_KILL_PROCESS);
    Load(offsetof(seccomp_data, nr));
  }

  void Allow(uint32_t number) { OnCall(number, {Statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}); }

  void Refuse(uint32_t number, uint32_t error) {
    OnCall(number, {Statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error)});
  }

  // Allows the call in each of the cases, else it fails with EPERM.
  void AllowIn(uint32_t number, std::span<const Case> cases) {
    std::vector<sock_filter> body;
    for (const Case& one : cases) {
      // Each condition is three instructions; the return is the last of the case.
      auto left = static_cast<uint8_t>(3 * one.size() + 1);
      for (const Condition& condition : one) {
        left = static_cast<uint8_t>(left - 3);
        body.push_back(Statement(
            BPF_LD | BPF_W | BPF_ABS,
            static_cast<uint32_t>(offsetof(seccomp_data, args) + condition.index * sizeof(uint64_t))));
        body.push_back(Statement(BPF_ALU | BPF_AND | BPF_K, condition.mask));
        body.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, condition.value, 0, left));
      }
      body.push_back(Statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    body.push_back(Statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    OnCall(number, body);
  }

  // One of these values in the argument `index`.
  void AllowValues(uint32_t number, uint32_t index, std::initializer_list<uint32_t> values) {
    std::vector<Case> cases;
    for (const uint32_t value : values) cases.push_back({{index, kAny, value}});
    AllowIn(number, cases);
  }

  std::vector<sock_filter> Finish(uint32_t action) {
    Return(action);
    return std::move(instructions_);
  }

  // Calls above `highest` fail with ENOSYS.
  void MissingAbove(uint32_t highest) {
    instructions_.push_back(BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, highest, 0, 1));
    Return(SECCOMP_RET_ERRNO | ENOSYS);
  }

 private:
  static sock_filter Statement(uint16_t code, uint32_t value) { return BPF_STMT(code, value); }
  void Load(size_t offset) {
    instructions_.push_back(Statement(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)));
  }
  void Return(uint32_t action) { instructions_.push_back(Statement(BPF_RET | BPF_K, action)); }
  // Every body ends with a return, so that the call's number stays loaded for what follows.
  void OnCall(uint32_t number, const std::vector<sock_filter>& body) {
    instructions_.push_back(
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, static_cast<uint8_t>(body.size())));
    instructions_.insert(instructions_.end(), body.begin(), body.end());
  }

  std::vector<sock_filter> instructions_;
};

// socket(): TCP and UDP. No raw packets, no pings, no netlink. Unix sockets only for streams, and only until
// GiveUpStarting.
std::vector<Case> SocketCases() {
  constexpr uint32_t kType = 0xf;
  std::vector<Case> cases = {{{0, kAny, AF_UNIX}, {1, kType, SOCK_STREAM}}};
  for (const uint32_t family : {AF_INET, AF_INET6}) {
    for (const uint32_t protocol : {0, 6}) {
      cases.push_back({{0, kAny, family}, {1, kType, SOCK_STREAM}, {2, kAny, protocol}});
    }
    for (const uint32_t protocol : {0, 17}) {
      cases.push_back({{0, kAny, family}, {1, kType, SOCK_DGRAM}, {2, kAny, protocol}});
    }
  }
  return cases;
}

std::string Install(std::vector<sock_filter> filter, uint32_t flags) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  const long done = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (done == 0) return {};
  if (done > 0) return "a thread has a filter of its own";
  return std::generic_category().message(errno);
}

}  // namespace

std::vector<sock_filter> WorkerFilter(pid_t own_pid, bool may_exec) {
  Program program;
  for (const uint32_t number : kAllowed) program.Allow(number);
  if (may_exec) program.Allow(SYS_execve);
  // glibc starts threads with clone3, whose flags a filter can't see, or with clone where that is missing.
  program.Refuse(SYS_clone3, ENOSYS);
  constexpr uint32_t kThread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
  constexpr uint32_t kNew = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                            CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE;
  program.AllowIn(SYS_clone, std::vector<Case>{{{0, kThread | kNew, kThread}}});
  // Neither code that can be written to, nor memory that no limit of the process counts.
  program.AllowIn(SYS_mmap, std::vector<Case>{{{2, PROT_WRITE, 0}, {3, MAP_SHARED, 0}},
                                              {{2, PROT_WRITE, 0}, {3, MAP_ANONYMOUS, 0}},
                                              {{2, PROT_EXEC, 0}, {3, MAP_SHARED, 0}},
                                              {{2, PROT_EXEC, 0}, {3, MAP_ANONYMOUS, 0}}});
  program.AllowIn(SYS_mprotect, std::vector<Case>{{{2, PROT_WRITE, 0}}, {{2, PROT_EXEC, 0}}});
  program.AllowIn(SYS_socket, SocketCases());
  program.AllowValues(SYS_socketpair, 0, {AF_UNIX});
  // No terminal's input, no device's control.
  program.AllowValues(SYS_ioctl, 1, {FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TCGETS});
  program.AllowValues(SYS_fcntl, 1,
                      {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK,
                       F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW});
  program.AllowValues(SYS_prctl, 0,
                      {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE, PR_CAPBSET_READ, PR_GET_SECCOMP,
                       PR_GET_NO_NEW_PRIVS});
  const auto self = static_cast<uint32_t>(own_pid);
  program.AllowValues(SYS_kill, 0, {self});
  program.AllowValues(SYS_tgkill, 0, {self});
  program.AllowValues(SYS_prlimit64, 0, {0, self});
  program.MissingAbove(kHighestKnown);
  return program.Finish(SECCOMP_RET_ERRNO | EPERM);
}

std::string InstallFilter(const std::vector<sock_filter>& filter) { return Install(filter, 0); }

std::string GiveUpStarting() {
  Program program;
  program.Refuse(SYS_execve, EPERM);
  program.Refuse(SYS_execveat, EPERM);
  program.AllowValues(SYS_socket, 0, {AF_INET, AF_INET6});
  return Install(program.Finish(SECCOMP_RET_ALLOW), SECCOMP_FILTER_FLAG_TSYNC);
}

}  // namespace pondpilot::jail
