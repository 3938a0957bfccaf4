#pragma once

#include <string>
#include <vector>

namespace pondpilot::jail {

// What of the file system a worker may use. A path that does not exist is passed over.
struct FileAccess {
  std::vector<std::string> programs;  // files: read and run
  std::vector<std::string> readable;  // files, or folders with all that is in them: read
  std::vector<std::string> writable;  // folders: whatever can be done in them but to run programs
};

// Restricts this thread, and all that it starts, to these files; to TCP ports that the kernel picks, when it
// listens; and, where the kernel knows how, to signals and abstract sockets of its own. What it starts can't
// be lifted again. It also can't look into processes outside (ptrace, /proc/PID/mem, environ, fd).
//
// Needs no_new_privs. `missing` says what this kernel's Landlock can't do yet. Empty: done; else why not.
std::string RestrictFiles(const FileAccess& access, std::string& missing);

}  // namespace pondpilot::jail
