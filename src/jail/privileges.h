#pragma once

#include <sys/types.h>

#include <string>

namespace pondpilot::jail {

// Gives up what a new user id would not: the bounding set, ambient and inheritable capabilities. While there
// is still the right to. Empty: done; else why not.
std::string DropBoundingSet();

// Becomes this user and group for good, without other groups. Empty: done; else why not.
std::string BecomeUser(uid_t user, gid_t group);

// No capability from now on, and none by running a program: capset and no_new_privs. Empty: done; else why
// not.
std::string DropPrivileges();

// Gives up every capability that starting workers takes no part of: for the process that starts them. Empty:
// done; else why not, and it has what it had.
std::string KeepOnlySpawningCapabilities();
// Gives up every capability that entering a jail takes no part of: for a process whose children do. Empty:
// done; else why not, and it has what it had.
std::string KeepOnlyJailingCapabilities();

// Does this process have the capability (CAP_SETUID …) now?
bool HasCapability(int capability);

}  // namespace pondpilot::jail
