#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

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
  // `root` is the folder as the proxy sees it; `instance` sets apart proxies that share it. nullptr when
  // there is no such folder that the proxy may write to and a worker could be shown: workers are then reached
  // by their network address.
  static std::unique_ptr<SocketFolders> Open(const std::filesystem::path& root, const std::string& instance,
                                             const std::optional<SelfContainer>& self);

  struct Folder {
    FileMount mount;                       // shows it to the worker at contract::kSocketFolder
    std::shared_ptr<WorkerSocket> socket;  // the folder goes with it
  };
  // Makes the folder of one worker. Thread-safe, as are the others.
  base::Result<Folder> Make(const std::string& worker_id) const;

  // Once, before the first Make. Of what an earlier run of this instance left, the sockets at which one of
  // these workers accepts, by worker id; every other folder is removed.
  std::map<std::string, std::shared_ptr<WorkerSocket>> Find(const std::set<std::string>& worker_ids) const;

  // Said when the engine can't show workers the folders; from then on usable() is false.
  void GiveUp(const base::Error& reason);
  bool usable() const { return usable_; }

 private:
  SocketFolders(std::filesystem::path here, std::string on_host)
      : here_(std::move(here)), on_host_(std::move(on_host)) {}

  const std::filesystem::path here_;
  const std::string on_host_;
  std::atomic<bool> usable_ = true;
};

}  // namespace pondpilot::proxy::launch::docker
