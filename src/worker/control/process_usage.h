#pragma once

#include <cstdint>

namespace pondpilot::worker::control {

// What this process uses, as the kernel counts it. 0 for what the kernel does not tell.
struct ProcessUsage {
  uint64_t resident_bytes = 0;
  uint64_t peak_resident_bytes = 0;
  uint64_t cpu_ms = 0;  // of all threads, those that have ended included; user and kernel mode
};

// Some 20 µs. Never fails.
ProcessUsage ReadProcessUsage();

}  // namespace pondpilot::worker::control
