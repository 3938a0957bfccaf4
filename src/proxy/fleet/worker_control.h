#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/secret.h"
#include "proxy/launch/launcher.h"

namespace grpc {
class Channel;
}

namespace pondpilot::proxy::fleet {

// A worker's attachment as the worker reports it.
struct AttachmentState {
  std::string alias;
  bool available = false;
  std::string reason;
};

struct WorkerActivity {
  std::vector<AttachmentState> attachments;
  uint32_t running_statements = 0;
  uint32_t open_streams = 0;
  uint32_t open_transactions = 0;
  std::chrono::milliseconds idle{0};
  bool healthy = true;
};

// The proxy's side of the control contract with one worker. Coroutines; each call ends by `timeout`. Assign
// comes first.
class WorkerControl {
 public:
  virtual ~WorkerControl() = default;
  // Waits until the worker answers and makes it this user's. Tries again while nothing listens yet.
  virtual boost::asio::awaitable<base::Result<std::vector<AttachmentState>>> Assign(
      std::chrono::milliseconds timeout) = 0;
  virtual boost::asio::awaitable<base::Result<WorkerActivity>> Status(std::chrono::milliseconds timeout) = 0;
  virtual boost::asio::awaitable<base::Result<void>> Drain(std::chrono::milliseconds timeout) = 0;
  // The connection that Flight calls are relayed over. Null before the first call.
  virtual std::shared_ptr<::grpc::Channel> channel() const = 0;
};

// Makes the control of a worker that has just been launched.
class WorkerControlFactory {
 public:
  virtual ~WorkerControlFactory() = default;
  virtual std::shared_ptr<WorkerControl> Connect(const launch::LaunchedWorker& worker,
                                                 const base::Secret& token) = 0;
};

}  // namespace pondpilot::proxy::fleet
