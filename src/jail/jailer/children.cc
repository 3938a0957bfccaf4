#include "jail/jailer/children.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace pondpilot::jail {

base::Descriptor OpenProcess(pid_t process) {
  return base::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
}

bool KillChild(pid_t process, std::chrono::milliseconds patience) {
  (void)::kill(process, SIGKILL);
  return AwaitStatus(process, patience) >= 0;
}

int AwaitStatus(pid_t process, std::chrono::milliseconds patience) {
  const base::Descriptor handle = OpenProcess(process);
  const auto end = std::chrono::steady_clock::now() + patience;
  pollfd wait{handle.get(), POLLIN, 0};
  while (handle.valid()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    const int got = ::poll(&wait, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (got >= 0 || errno != EINTR) break;
  }
  // Of one that is traced the end is seen, and the status belongs to the tracer for now.
  return TakeStatus(process);
}

pid_t EndedChild() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid : 0;
}

int TakeStatus(pid_t process) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(process), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
    return -1;
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace pondpilot::jail
