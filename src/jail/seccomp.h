#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace pondpilot::jail {

// The system calls that a worker may make: what DuckDB, Arrow, gRPC, OpenSSL and glibc need to compute, to
// read and write the files that Landlock leaves them, and to talk over TCP. All others fail with EPERM, those
// that this list does not know by number with ENOSYS, for which glibc has an older way. `own_pid` is the
// worker's process id as it sees it: signals go to nobody else.
//
// A worker that was started by exec (`may_exec`) still needs it once; it gives it up itself, see
// GiveUpStarting.
std::vector<sock_filter> WorkerFilter(pid_t own_pid, bool may_exec);

// Puts the filter on this thread and all that it will start. Needs no_new_privs. Empty: done; else why not.
std::string InstallFilter(const std::vector<sock_filter>& filter);

// What a worker needs only while it starts, all its threads give up: to become another program, and Unix
// sockets. Empty: done; else why not.
std::string GiveUpStarting();

}  // namespace pondpilot::jail
