#include "jail/private_root.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/unix_socket.h"

namespace pondpilot::jail {
namespace {

namespace fs = std::filesystem;

// A folder that every system has and no worker needs: the new root is put together on it, out of anybody
// else's sight.
constexpr char kStage[] = "/mnt";

struct Piece {
  std::string path;
  base::Descriptor source;
  bool folder = false;
  bool writable = false;
  bool device = false;
};

std::string Failed(const std::string& what) { return what + ": " + std::generic_category().message(errno); }

// Opened first: what is mounted later may hide a path.
void Add(std::vector<Piece>& pieces, const std::string& path, bool writable) {
  base::Descriptor source(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat info{};
  if (!source.valid() || ::fstat(source.get(), &info) != 0) return;
  pieces.push_back({.path = path,
                    .source = std::move(source),
                    .folder = S_ISDIR(info.st_mode),
                    .writable = writable,
                    .device = S_ISCHR(info.st_mode)});
}

// A mount keeps the restrictions that it came with; whoever has not made them may not lift them.
unsigned long InheritedFlags(const std::string& target) {
  struct statvfs info{};
  if (::statvfs(target.c_str(), &info) != 0) return 0;
  unsigned long flags = 0;
  for (const auto& [shown, flag] :
       std::array<std::pair<unsigned long, unsigned long>, 6>{{{ST_RDONLY, MS_RDONLY},
                                                               {ST_NODEV, MS_NODEV},
                                                               {ST_NOEXEC, MS_NOEXEC},
                                                               {ST_NOATIME, MS_NOATIME},
                                                               {ST_NODIRATIME, MS_NODIRATIME},
                                                               {ST_RELATIME, MS_RELATIME}}}) {
    if ((info.f_flag & shown) != 0) flags |= flag;
  }
  return flags;
}

std::string Place(const Piece& piece) {
  const std::string target = kStage + piece.path;
  std::error_code error;
  fs::create_directories(piece.folder ? fs::path(target) : fs::path(target).parent_path(), error);
  if (error) return target + ": " + error.message();
  if (!piece.folder) {
    const base::Descriptor made(::open(target.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0444));
    if (!made.valid()) return Failed(target);
  }
  const std::string source = "/proc/self/fd/" + std::to_string(piece.source.get());
  if (::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return Failed(piece.path);
  unsigned long flags = MS_REMOUNT | MS_BIND | MS_NOSUID | InheritedFlags(target);
  flags |= piece.writable ? MS_NOEXEC : MS_RDONLY;
  if (!piece.device) flags |= MS_NODEV;
  if (::mount(nullptr, target.c_str(), nullptr, flags, nullptr) != 0)
    return Failed(piece.path + " read-only");
  return {};
}

bool Covers(const Piece& above, const Piece& piece) {
  return above.folder && !piece.writable && !above.writable && piece.path.starts_with(above.path + "/");
}

}  // namespace

std::string EnterPrivateRoot(const FileAccess& access, bool own_processes) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return Failed("the mounts' propagation");
  std::vector<Piece> pieces;
  for (const auto& path : access.programs) Add(pieces, path, false);
  for (const auto& path : access.readable) {
    if (!path.starts_with("/proc/")) Add(pieces, path, false);
  }
  for (const auto& path : access.writable) Add(pieces, path, true);
  // Folders before what is in them.
  std::ranges::stable_sort(pieces, {}, [](const Piece& piece) { return piece.path.size(); });
  const base::Descriptor old_proc(::open("/proc", O_PATH | O_CLOEXEC));

  if (::mount("none", kStage, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755") != 0) return Failed(kStage);
  for (auto piece = pieces.begin(); piece != pieces.end(); ++piece) {
    const auto covered = [&](const Piece& above) { return Covers(above, *piece); };
    if (std::any_of(pieces.begin(), piece, covered)) continue;
    // /lib and the like are links into /usr on some systems and folders on others.
    if (std::string failed = Place(*piece); !failed.empty()) return failed;
  }
  const std::string proc = std::string(kStage) + "/proc";
  if (::mkdir(proc.c_str(), 0555) != 0) return Failed(proc);
  const bool fresh =
      own_processes && ::mount("proc", proc.c_str(), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0;
  const std::string old = "/proc/self/fd/" + std::to_string(old_proc.get());
  // Inside some containers a new /proc would show what theirs hides; the kernel refuses it then.
  if (!fresh && ::mount(old.c_str(), proc.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return Failed(proc);

  if (::chdir(kStage) != 0) return Failed(kStage);
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return Failed("pivot_root");
  if (::umount2(".", MNT_DETACH) != 0) return Failed("the old root");
  if (::chdir("/") != 0) return Failed("/");
  const unsigned long read_only = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (::mount(nullptr, "/", nullptr, read_only, nullptr) != 0) return Failed("the new root read-only");
  return {};
}

}  // namespace pondpilot::jail
