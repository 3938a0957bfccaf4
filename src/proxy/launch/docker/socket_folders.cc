#include "proxy/launch/docker/socket_folders.h"

#include <sys/un.h>
#include <unistd.h>

#include <system_error>

#include "base/secret.h"
#include "contract/names.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::launch::docker {
namespace {

namespace fs = std::filesystem;

constexpr size_t kInstanceDigits = 16;
constexpr size_t kWorkerIdDigits = 16;

// The longest path that a socket may have.
constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

bool MakeFolder(const fs::path& path, fs::perms permissions) {
  std::error_code error;
  fs::create_directory(path, error);
  if (!error) fs::permissions(path, permissions, error);
  return !error;
}

}  // namespace

std::optional<SocketFolders> SocketFolders::Open(const fs::path& root, const std::string& instance,
                                                 const std::optional<SelfContainer>& self) {
  if (root.empty() || ::access(root.c_str(), R_OK | W_OK | X_OK) != 0) return std::nullopt;
  const auto on_host = self ? HostPath(root, self->mounts) : std::optional(root.string());
  if (!on_host) return std::nullopt;
  const std::string name = base::Sha256Hex(instance).substr(0, kInstanceDigits);
  const fs::path here = root / name;
  if ((here / std::string(kWorkerIdDigits, '0') / contract::kSocketName).string().size() > kMaxSocketPath) {
    return std::nullopt;
  }
  std::error_code error;
  fs::remove_all(here, error);
  // Nobody else on the host may look for a way into a worker's folder.
  if (!MakeFolder(here, fs::perms::owner_all)) return std::nullopt;
  return SocketFolders(here, *on_host + "/" + name);
}

base::Result<FileMount> SocketFolders::Make(const std::string& worker_id) const {
  // The worker may run as another user than the proxy.
  if (!MakeFolder(here_ / worker_id, fs::perms::all)) {
    return base::Fail(base::ErrorCode::kUnavailable, "A folder for a worker's socket can't be made in " +
                                                         here_.string() + ". Look whether the disk is full.");
  }
  return FileMount{on_host_ + "/" + worker_id, contract::kSocketFolder, false};
}

std::string SocketFolders::SocketOf(const std::string& worker_id) const {
  return (here_ / worker_id / contract::kSocketName).string();
}

void SocketFolders::Remove(const std::string& worker_id) const {
  std::error_code error;
  fs::remove_all(here_ / worker_id, error);
  if (error) {
    telemetry::Log(telemetry::Level::kWarn, "The folder of a worker's socket can't be removed",
                   {{"folder", (here_ / worker_id).string()}, {"error", error.message()}});
  }
}

}  // namespace pondpilot::proxy::launch::docker
