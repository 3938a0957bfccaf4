#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unix_socket.h"
#include "proxy/launch/process/jailer_client.h"

namespace pondpilot::proxy::launch::process {

// What is remembered of a worker process, so that a proxy that starts again knows it.
struct WorkerRecord {
  std::string worker_id;
  ProcessKey key;
  uint64_t user = 0;        // the process's user id; 0: the proxy's
  std::string user_digest;  // empty: it was started for nobody yet
};

// A folder for each worker with its socket and its record. No worker can see into any of them: it inherits
// its socket.
class WorkerFolders {
 public:
  // The first of `roots` that can be used, which is made if need be and is the proxy's alone; `name` sets
  // apart proxies that share it.
  static base::Result<WorkerFolders> Open(const std::vector<std::filesystem::path>& roots,
                                          const std::string& name);

  const std::filesystem::path& root() const { return root_; }
  std::string SocketPath(const std::string& worker_id) const;

  // Makes a worker's folder and listens in it.
  base::Result<base::Descriptor> Make(const std::string& worker_id) const;
  base::Result<void> Remember(const WorkerRecord& record) const;
  void Remove(const std::string& worker_id) const;
  // The records of all workers. Folders without one, of a launch that was cut short, are removed.
  std::vector<WorkerRecord> All() const;

 private:
  explicit WorkerFolders(std::filesystem::path root) : root_(std::move(root)) {}

  std::filesystem::path root_;
};

}  // namespace pondpilot::proxy::launch::process
