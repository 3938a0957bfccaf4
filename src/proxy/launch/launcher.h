#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "proxy/launch/worker_socket.h"

namespace pondpilot::proxy::launch {

// What a worker is started with. Holds no secret: the worker gets its user's attachments over the control
// contract.
struct WorkerSpec {
  std::string worker_id;  // unique; part of the container's name
  std::string user_id;    // the token's sub; goes to a label as a digest, never in clear. Empty: nobody's yet
  std::string token_sha256;  // hex digest of the token that the proxy will present
  uint64_t memory_limit_bytes = 0;
  double cpu_limit = 0;
  std::vector<std::string> sqlite_paths;  // absolute paths that must be visible to the worker, read-only
};

// A worker that exists, whether or not it listens yet.
struct LaunchedWorker {
  std::string worker_id;
  std::string handle;   // the launcher's own name for it: the container's id
  std::string address;  // gRPC target, for example "ipv4:172.20.0.5:9090"
  // It asks for this socket and then does not listen at `address`; null: it was not given one.
  std::shared_ptr<WorkerSocket> socket = nullptr;
  // How long the launch took: until the worker existed, and from then until it ran. For metrics.
  std::chrono::milliseconds create_time{0};
  std::chrono::milliseconds start_time{0};
};

// A worker that an earlier run of this instance launched.
struct FoundWorker {
  LaunchedWorker worker;
  std::string user_digest;  // UserDigest of the user it was launched for; empty: it was launched for nobody
  bool running = false;
};

// What a worker's backend may show of its user, say as a label: 16 hex digits.
std::string UserDigest(const std::string& user_id);

// How a worker ended.
struct WorkerExit {
  int exit_code = 0;
  bool out_of_memory = false;  // the kernel killed it at its memory limit
};

// The seam behind which workers are started. Every call has a deadline of its own inside and ends with an
// Error at the latest then. Coroutines run on the caller's executor; one Launcher serves many of them at
// once.
class Launcher {
 public:
  virtual ~Launcher() = default;

  // Once, before anything else: finds the network, the image and the proxy's own container. The error says
  // what the operator has to do.
  virtual boost::asio::awaitable<base::Result<void>> Prepare() = 0;
  // Once, before the first launch: what an earlier run of this same instance has left. The caller stops those
  // that it has no use for, also when they don't run any more.
  virtual boost::asio::awaitable<base::Result<std::vector<FoundWorker>>> Find() = 0;
  // Is the backend usable now? For readiness.
  virtual boost::asio::awaitable<base::Result<void>> Check() = 0;
  // Returns once the worker runs and has an address. On an error nothing is left behind; unless it is
  // kUnavailable or kDeadlineExceeded: then what the backend has made, perhaps after the fact, has the handle
  // PossibleHandle.
  virtual boost::asio::awaitable<base::Result<LaunchedWorker>> Launch(WorkerSpec spec) = 0;
  // Empty: a failed launch never leaves anything.
  virtual std::string PossibleHandle(const std::string& /*worker_id*/) const { return {}; }
  // SIGTERM, after `grace` SIGKILL, then removes it. Returns when it is confirmed to be gone; a worker that
  // no longer exists is success.
  virtual boost::asio::awaitable<base::Result<void>> Stop(std::string handle,
                                                          std::chrono::milliseconds grace) = 0;
  // Waits until the worker has ended, however long that takes; a worker that no longer exists has ended.
  virtual boost::asio::awaitable<base::Result<WorkerExit>> WaitForExit(std::string handle) = 0;
};

}  // namespace pondpilot::proxy::launch
