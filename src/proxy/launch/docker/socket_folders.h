#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "proxy/launch/docker/self_container.h"
#include "proxy/launch/worker_socket.h"

namespace pondpilot::proxy::launch::docker {

// A folder for each worker with the socket over which the proxy reaches it. The worker sees this folder
// alone, and read-only: nothing that a user could do in a worker leaves anything there.
//
// All are under one folder of the proxy's, which the engine's host can see too: a volume of the proxy's
// container, or a folder of the host where the proxy has no container.
class SocketFolders {
 public:
  // `root` is the folder as the proxy sees it; `instance` sets apart proxies that share it. Removes what an
  // earlier run of this instance left there. nullopt when there is no such folder that the proxy may write to
  // and a worker could be shown: workers are then reached by their network address.
  static std::optional<SocketFolders> Open(const std::filesystem::path& root, const std::string& instance,
                                           const std::optional<SelfContainer>& self);

  struct Folder {
    FileMount mount;  // shows it to the worker at contract::kSocketFolder
    std::shared_ptr<WorkerSocket> socket;
  };
  // Makes the folder of one worker.
  base::Result<Folder> Make(const std::string& worker_id) const;
  // A folder that is gone is success.
  void Remove(const std::string& worker_id) const;

 private:
  SocketFolders(std::filesystem::path here, std::string on_host)
      : here_(std::move(here)), on_host_(std::move(on_host)) {}

  std::filesystem::path here_;
  std::string on_host_;
};

}  // namespace pondpilot::proxy::launch::docker
