#include "worker/control/process_usage.h"

#include <sys/resource.h>

#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

namespace pondpilot::worker::control {
namespace {

// "VmRSS:\t  123 kB" in bytes; 0 for a line that isn't like that.
uint64_t Bytes(std::string_view line) {
  const size_t digits = line.find_first_of("0123456789");
  uint64_t kilobytes = 0;
  if (digits != std::string_view::npos)
    std::from_chars(line.data() + digits, line.data() + line.size(), kilobytes);
  return kilobytes << 10;
}

uint64_t Milliseconds(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1000 + static_cast<uint64_t>(time.tv_usec) / 1000;
}

}  // namespace

ProcessUsage ReadProcessUsage() {
  ProcessUsage usage;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) usage.peak_resident_bytes = Bytes(line);
    if (line.starts_with("VmRSS:")) usage.resident_bytes = Bytes(line);
  }
  rusage times{};
  if (::getrusage(RUSAGE_SELF, &times) == 0)
    usage.cpu_ms = Milliseconds(times.ru_utime) + Milliseconds(times.ru_stime);
  return usage;
}

}  // namespace pondpilot::worker::control
