#include "proxy/launch/docker/socket_folders.h"

#include <sys/un.h>
#include <unistd.h>

#include <system_error>
#include <utility>

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

// The folder of folders is the proxy's alone; a worker may run as another user and must find its socket.
constexpr auto kOwnFolder = fs::perms::owner_all;
constexpr auto kWorkersFolder = fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec |
                                fs::perms::group_read | fs::perms::others_read;

bool MakeFolder(const fs::path& path, fs::perms permissions) {
  std::error_code error;
  fs::create_directory(path, error);
  if (!error) fs::permissions(path, permissions, error);
  return !error;
}

// Nothing but the socket can be in it.
void RemoveFolder(const fs::path& folder) {
  std::error_code error;
  fs::remove(folder / contract::kSocketName, error);
  if (!error) fs::remove(folder, error);
  if (error) {
    telemetry::Log(telemetry::Level::kWarn, "The folder of a worker's socket can't be removed",
                   {{"folder", folder.string()}, {"error", error.message()}});
  }
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
  if (!MakeFolder(here, kOwnFolder)) return std::nullopt;
  std::error_code error;
  for (const auto& left : fs::directory_iterator(here, error)) RemoveFolder(left.path());
  if (error) return std::nullopt;
  return SocketFolders(here, *on_host + "/" + name);
}

base::Result<SocketFolders::Folder> SocketFolders::Make(const std::string& worker_id) const {
  const fs::path folder = here_ / worker_id;
  if (!MakeFolder(folder, kWorkersFolder)) {
    return base::Fail(base::ErrorCode::kUnavailable, "A folder for a worker's socket can't be made in " +
                                                         here_.string() + ". Look whether the disk is full.");
  }
  auto socket = WorkerSocket::Listen((folder / contract::kSocketName).string());
  if (!socket) {
    RemoveFolder(folder);
    return std::unexpected(std::move(socket.error()));
  }
  return Folder{.mount = {on_host_ + "/" + worker_id, contract::kSocketFolder}, .socket = std::move(*socket)};
}

void SocketFolders::Remove(const std::string& worker_id) const { RemoveFolder(here_ / worker_id); }

}  // namespace pondpilot::proxy::launch::docker
