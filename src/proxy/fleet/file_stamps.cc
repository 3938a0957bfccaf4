#include "proxy/fleet/file_stamps.h"

#include <sys/stat.h>

namespace pondpilot::proxy::fleet {

std::vector<std::string> FileStamps(const std::vector<std::string>& paths) {
  std::vector<std::string> stamps;
  for (const std::string& path : paths) {
    for (const char* suffix : {"", "-wal", "-shm"}) {
      struct stat info{};
      const bool there = ::stat((path + suffix).c_str(), &info) == 0;
      stamps.push_back(there ? std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) : "none");
    }
  }
  return stamps;
}

}  // namespace pondpilot::proxy::fleet
