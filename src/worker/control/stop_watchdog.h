#pragma once

#include <chrono>

namespace pondpilot::worker::control {

// Ends this process with `exit_code` if it has not ended by itself within `limit`: an orderly end waits for
// running statements, and some of DuckDB's functions hear nothing until they are done. Once, from one thread.
// Needs no memory and no thread; uses the process's alarm (SIGALRM).
void ForceExitAfter(std::chrono::seconds limit, int exit_code);

}  // namespace pondpilot::worker::control
