#pragma once

#include <string>

#include "jail/landlock.h"

namespace pondpilot::jail {

// Makes a new root of what `access` names and nothing else, read-only but for its writable folders, and
// enters it. In a mount namespace of its own, with CAP_SYS_ADMIN there. `own_processes`: /proc shows those of
// this process's namespace only, where the kernel allows a new one. Empty: done; else why not, and the mounts
// are in an unknown state.
std::string EnterPrivateRoot(const FileAccess& access, bool own_processes);

}  // namespace pondpilot::jail
