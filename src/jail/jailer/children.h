#pragma once

#include <sys/types.h>

#include <chrono>

#include "base/unix_socket.h"

namespace pondpilot::jail {

// A pidfd, by which a process id is never taken for another's. Not valid when there is no such process.
base::Descriptor OpenProcess(pid_t process);

// From SIGKILL until the kernel has taken a process away that has not yet begun to work.
inline constexpr std::chrono::seconds kKillPatience(2);

// Ends a child of this process and takes its status. False: it has not ended in time (it waits for a disk,
// somebody traces it); it will, and whoever looks for children that have ended (EndedChild) finds it then.
bool KillChild(pid_t process, std::chrono::milliseconds patience = kKillPatience);

// A child that has ended and whose status nobody has taken; 0: there is none.
pid_t EndedChild();

// How a child of this process has ended, as an exit code, or 128 and the signal's number; -1: it runs, or is
// none. Takes the status: asked once more the answer is -1.
int TakeStatus(pid_t process);
// The same of one that is about to end; -1 also when it has not within `patience`.
int AwaitStatus(pid_t process, std::chrono::milliseconds patience);

}  // namespace pondpilot::jail
