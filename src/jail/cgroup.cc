#include "jail/cgroup.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include "base/unix_socket.h"

namespace pondpilot::jail {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kControllers[] = {"memory", "cpu", "pids"};
constexpr uint64_t kPeriodMicroseconds = 100'000;
// A cgroup with limits for others can hold no process itself: this process goes down one step.
constexpr char kOwnLeaf[] = "pondpilot-proxy";
constexpr char kPrefix[] = "pondpilot-worker-";

std::string Write(const fs::path& file, const std::string& text) {
  const base::Descriptor opened(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (opened.valid() &&
      ::write(opened.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) {
    return {};
  }
  return file.string() + ": " + std::generic_category().message(errno);
}

std::string Read(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

bool HasWord(const std::string& text, std::string_view word, char separator) {
  std::istringstream words(text);
  for (std::string one; std::getline(words, one, separator);) {
    if (one == word) return true;
  }
  return false;
}

// The number after `key` at the beginning of a line.
uint64_t Counter(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key + " ")) continue;
    uint64_t value = 0;
    const char* begin = line.data() + key.size() + 1;
    std::from_chars(begin, line.data() + line.size(), value);
    return value;
  }
  return 0;
}

uint64_t KillsIn(const fs::path& memory, bool unified) {
  return Counter(Read(memory / (unified ? "memory.events" : "memory.oom_control")), "oom_kill");
}

// Moves all processes of `folder` into a leaf of it, then lets it share out the controllers.
std::string Delegate(const fs::path& folder) {
  std::string wanted;
  for (const auto controller : kControllers)
    wanted += (wanted.empty() ? "+" : " +") + std::string(controller);
  const fs::path leaf = folder / kOwnLeaf;
  std::error_code error;
  fs::create_directory(leaf, error);
  if (error) return leaf.string() + ": " + error.message();
  std::istringstream processes(Read(folder / "cgroup.procs"));
  for (std::string process; std::getline(processes, process);) {
    // One that has ended meanwhile can't be moved, and need not be.
    (void)Write(leaf / "cgroup.procs", process);
  }
  return Write(folder / "cgroup.subtree_control", wanted);
}

}  // namespace

CgroupPlace FindCgroups(std::string_view mountinfo, std::string_view own) {
  // "number:controllers:path"; version 2 is number 0 without controllers.
  std::map<std::string, std::string> paths;
  std::istringstream entries{std::string(own)};
  for (std::string entry; std::getline(entries, entry);) {
    const size_t first = entry.find(':');
    const size_t second = first == std::string::npos ? first : entry.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::istringstream controllers(entry.substr(first + 1, second - first - 1));
    const std::string path = entry.substr(second + 1);
    if (second == first + 1) paths[""] = path;
    for (std::string controller; std::getline(controllers, controller, ',');) paths[controller] = path;
  }
  CgroupPlace place;
  const auto folder_of = [&](const std::string& controller, const std::string& root,
                             const std::string& mounted) {
    const auto path = paths.find(controller);
    if (path == paths.end()) return fs::path();
    // A container sees its own part of the tree at the mount's top, whichever name it has outside.
    std::string rest = path->second;
    if (root != "/" && rest.starts_with(root)) rest.erase(0, root.size());
    return fs::path(mounted + (rest == "/" ? "" : rest));
  };
  std::istringstream mounts{std::string(mountinfo)};
  for (std::string line; std::getline(mounts, line);) {
    // "id parent device root mountpoint options … - type source superoptions"
    std::istringstream fields(line);
    std::string skipped;
    std::string root;
    std::string mounted;
    fields >> skipped >> skipped >> skipped >> root >> mounted;
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream rest(line.substr(dash + 3));
    std::string type;
    std::string options;
    rest >> type >> skipped >> options;
    for (const auto controller : kControllers) {
      const std::string name(controller);
      if (type == "cgroup" && HasWord(options, controller, ',')) {
        if (const fs::path folder = folder_of(name, root, mounted); !folder.empty())
          place.folders[name] = folder;
      } else if (type == "cgroup2" && !place.folders.contains(name)) {
        const fs::path folder = folder_of("", root, mounted);
        std::string there = folder.empty() ? "" : Read(folder / "cgroup.controllers");
        std::ranges::replace(there, '\n', ' ');
        if (!HasWord(there, controller, ' ')) continue;
        place.folders[name] = folder;
        place.unified = true;
      }
    }
  }
  return place;
}

std::expected<Cgroups, std::string> Cgroups::Open(CgroupPlace place) {
  for (const auto controller : kControllers) {
    const auto folder = place.folders.find(std::string(controller));
    if (folder == place.folders.end())
      return std::unexpected("there is no cgroup controller " + std::string(controller));
    if (::access(folder->second.c_str(), W_OK) != 0) {
      return std::unexpected(folder->second.string() + ": " + std::generic_category().message(errno));
    }
  }
  if (place.unified) {
    if (std::string failed = Delegate(place.folders.at("memory")); !failed.empty())
      return std::unexpected(failed);
  }
  return Cgroups(std::move(place));
}

std::vector<fs::path> Cgroups::FoldersOf(const std::string& name) const {
  std::vector<fs::path> folders;
  for (const auto& [controller, folder] : place_.folders) {
    const fs::path own = folder / (kPrefix + name);
    // cpu and cpuacct, say, are often one.
    if (!std::ranges::contains(folders, own)) folders.push_back(own);
  }
  return folders;
}

std::string Cgroups::Make(const std::string& name, const Amounts& amounts) const {
  const auto at = [&](const char* controller, const char* file) {
    return place_.folders.at(controller) / (kPrefix + name) / file;
  };
  const auto make = [&]() -> std::string {
    for (const fs::path& folder : FoldersOf(name)) {
      std::error_code error;
      fs::create_directory(folder, error);
      if (error) return folder.string() + ": " + error.message();
    }
    const std::string bytes = std::to_string(amounts.memory_bytes);
    const std::string period = std::to_string(kPeriodMicroseconds);
    const std::string quota =
        std::to_string(std::llround(amounts.cpu_cores * static_cast<double>(kPeriodMicroseconds)));
    std::vector<std::pair<fs::path, std::string>> settings = {
        {at("pids", "pids.max"), std::to_string(amounts.threads)}};
    if (place_.unified) {
      settings.insert(settings.end(),
                      {{at("memory", "memory.max"), bytes}, {at("cpu", "cpu.max"), quota + " " + period}});
    } else {
      settings.insert(settings.end(), {{at("memory", "memory.limit_in_bytes"), bytes},
                                       {at("cpu", "cpu.cfs_period_us"), period},
                                       {at("cpu", "cpu.cfs_quota_us"), quota}});
    }
    for (const auto& [file, text] : settings) {
      if (std::string failed = Write(file, text); !failed.empty()) return failed;
    }
    // No swap, where the kernel counts it.
    const fs::path swap =
        place_.unified ? at("memory", "memory.swap.max") : at("memory", "memory.memsw.limit_in_bytes");
    if (::access(swap.c_str(), F_OK) == 0) return Write(swap, place_.unified ? "0" : bytes);
    return {};
  };
  std::string failed = make();
  if (!failed.empty()) Remove(name);
  return failed;
}

std::string Cgroups::Add(const std::string& name, pid_t process) const {
  for (const fs::path& folder : FoldersOf(name)) {
    if (std::string failed = Write(folder / "cgroup.procs", std::to_string(process)); !failed.empty())
      return failed;
  }
  return {};
}

bool Cgroups::OutOfMemory(const std::string& name) const {
  return KillsIn(place_.folders.at("memory") / (kPrefix + name), place_.unified) > 0;
}

void Cgroups::Remove(const std::string& name) const {
  for (const fs::path& folder : FoldersOf(name)) (void)::rmdir(folder.c_str());
}

uint64_t OutOfMemoryKills(const CgroupPlace& place) {
  const auto memory = place.folders.find("memory");
  return memory == place.folders.end() ? 0 : KillsIn(memory->second, place.unified);
}

}  // namespace pondpilot::jail
