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

bool SetPermissions(const fs::path& folder, fs::perms permissions) {
  std::error_code error;
  fs::permissions(folder, permissions, error);
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

// What a worker's socket keeps alive: its folder.
struct Held {
  Held(fs::path where, std::shared_ptr<WorkerSocket> what)
      : folder(std::move(where)), socket(std::move(what)) {}
  ~Held() { RemoveFolder(folder); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  const fs::path folder;
  const std::shared_ptr<WorkerSocket> socket;
};

std::shared_ptr<WorkerSocket> Hold(const fs::path& folder, std::shared_ptr<WorkerSocket> socket) {
  const auto held = std::make_shared<const Held>(folder, std::move(socket));
  return {held, held->socket.get()};
}

}  // namespace

std::unique_ptr<SocketFolders> SocketFolders::Open(const fs::path& root, const std::string& instance,
                                                   const std::optional<SelfContainer>& self) {
  if (root.empty() || ::access(root.c_str(), R_OK | W_OK | X_OK) != 0) return nullptr;
  const auto on_host = self ? HostPath(root, self->mounts) : std::optional(root.string());
  if (!on_host) return nullptr;
  const std::string name = base::Sha256Hex(instance).substr(0, kInstanceDigits);
  const fs::path here = root / name;
  if ((here / std::string(kWorkerIdDigits, '0') / contract::kSocketName).string().size() > kMaxSocketPath) {
    return nullptr;
  }
  std::error_code error;
  fs::create_directory(here, error);
  if (error || !SetPermissions(here, kOwnFolder)) return nullptr;
  return std::unique_ptr<SocketFolders>(new SocketFolders(here, *on_host + "/" + name));
}

base::Result<SocketFolders::Folder> SocketFolders::Make(const std::string& worker_id) const {
  const fs::path folder = here_ / worker_id;
  std::error_code error;
  // One that is there already is another worker's.
  if (!fs::create_directory(folder, error)) {
    return base::Fail(base::ErrorCode::kUnavailable, "The folder " + folder.string() + " can't be made.",
                      error ? error.message() : "It exists.");
  }
  auto socket = WorkerSocket::Listen((folder / contract::kSocketName).string());
  if (!socket || !SetPermissions(folder, kWorkersFolder)) {
    RemoveFolder(folder);
    if (!socket) return std::unexpected(std::move(socket.error()));
    return base::Fail(base::ErrorCode::kUnavailable, "The folder " + folder.string() + " can't be shared.");
  }
  return Folder{.mount = {on_host_ + "/" + worker_id, contract::kSocketFolder},
                .socket = Hold(folder, std::move(*socket))};
}

std::map<std::string, std::shared_ptr<WorkerSocket>> SocketFolders::Find(
    const std::set<std::string>& worker_ids) const {
  std::map<std::string, std::shared_ptr<WorkerSocket>> found;
  std::error_code error;
  for (const auto& left : fs::directory_iterator(here_, error)) {
    const fs::path& folder = left.path();
    const std::string worker_id = folder.filename();
    auto socket = worker_ids.contains(worker_id)
                      ? WorkerSocket::HandedOver((folder / contract::kSocketName).string())
                      : nullptr;
    if (socket) {
      found[worker_id] = Hold(folder, std::move(socket));
    } else {
      RemoveFolder(folder);
    }
  }
  return found;
}

void SocketFolders::GiveUp(const base::Error& reason) {
  if (!usable_.exchange(false)) return;
  telemetry::Log(telemetry::Level::kWarn, "Workers are reached over the network, not over sockets",
                 {{"error", reason.message}});
}

}  // namespace pondpilot::proxy::launch::docker
