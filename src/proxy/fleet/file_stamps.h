#pragma once

#include <string>
#include <vector>

namespace pondpilot::proxy::fleet {

// What tells whether a worker launched earlier sees these database files as one launched now would: which
// file each path leads to, and whether SQLite's -wal and -shm files stand beside it. Compare for equality.
std::vector<std::string> FileStamps(const std::vector<std::string>& paths);

}  // namespace pondpilot::proxy::fleet
