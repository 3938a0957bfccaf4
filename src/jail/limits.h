#pragma once

#include <cstdint>
#include <string>

namespace pondpilot::jail {

struct Amounts {
  uint64_t memory_bytes = 0;
  double cpu_cores = 0;
  uint32_t threads = 512;
};

// Bounds this process as far as limits of a process reach: data segment, open files, size of a file, no core
// dump, no locked memory, and, with a user id of its own, the number of threads; runs on as many processors
// as cores are allotted, rounded up, which ones `turn` says, so that workers spread. Processor time in
// fractions of a core is for cgroups alone. Empty: done; else why not. `missing` says what of it could not be
// had.
std::string LimitProcess(const Amounts& amounts, bool own_user, uint32_t turn, std::string& missing);

}  // namespace pondpilot::jail
