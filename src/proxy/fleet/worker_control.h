#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
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
  uint32_t kept_objects = 0;  // sessions with settings or temporary tables, prepared statements
  std::chrono::milliseconds idle{0};
  bool healthy = true;
  uint64_t resident_bytes = 0;
  uint64_t peak_resident_bytes = 0;
  std::chrono::milliseconds cpu{0};  // since its start
  // What it was assigned; empty: nothing yet.
  std::string user_id{};
  std::string assignment{};
};

// Whose worker one becomes, and what it keeps as the proof of it (see assignment_proof.h).
struct Assignment {
  std::string user_id;
  std::string proof;
};

// The proxy's side of the control contract with one worker. Coroutines; each call ends by `timeout`.
class WorkerControl {
 public:
  virtual ~WorkerControl() = default;
  // Returns once the worker answers. Tries again while nothing listens yet.
  virtual boost::asio::awaitable<base::Result<void>> AwaitReady(std::chrono::milliseconds timeout) = 0;
  // Makes it this user's, once.
  virtual boost::asio::awaitable<base::Result<std::vector<AttachmentState>>> Assign(
      Assignment assignment, std::chrono::milliseconds timeout) = 0;
  virtual boost::asio::awaitable<base::Result<WorkerActivity>> Status(std::chrono::milliseconds timeout) = 0;
  virtual boost::asio::awaitable<base::Result<void>> Drain(std::chrono::milliseconds timeout) = 0;
  // The connection that Flight calls are relayed over. Null before the first call.
  virtual std::shared_ptr<::grpc::Channel> channel() const = 0;
};

// Makes the control of a worker that has been launched, by this run of the proxy or an earlier one.
class WorkerControlFactory {
 public:
  virtual ~WorkerControlFactory() = default;
  // Stands for what every worker is assigned besides its user: the same for the same databases, credentials
  // and extensions. To be kept like those.
  virtual base::Secret Terms() const = 0;
  virtual std::shared_ptr<WorkerControl> Connect(const launch::LaunchedWorker& worker,
                                                 const base::Secret& token) = 0;
};

}  // namespace pondpilot::proxy::fleet
