#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/unix_socket.h"
#include "jail/jailer/wire.h"
#include "proxy/launch/launcher.h"

namespace pondpilot::proxy::launch::process {

// A process that can't be taken for another that has its number later.
struct ProcessKey {
  uint64_t process = 0;
  uint64_t start = 0;

  auto operator<=>(const ProcessKey&) const = default;
};

struct JailerOptions {
  // The descriptor of a jailer that was started beside this process; it is taken over.
  std::optional<int> descriptor;
  // Else it is started from here, with the rights of this process.
  std::string program;
  std::string worker_program;  // empty: the one beside the jailer's
  std::string spill_folder;    // empty: the jailer's own default
  // Called once, on a thread of the client's own, when the jailer has ended though nobody asked it to.
  std::function<void()> lost;
};

// The proxy's end of the conversation with the jailer (jail/jailer/wire.h). Thread-safe.
class JailerClient {
 public:
  static base::Result<std::unique_ptr<JailerClient>> Connect(const JailerOptions& options);
  // The jailer ends; its workers don't.
  ~JailerClient();
  JailerClient(const JailerClient&) = delete;
  JailerClient& operator=(const JailerClient&) = delete;

  // The answer to `request`; `descriptor` goes with it and stays the caller's. What the jailer refuses is
  // kFailedPrecondition with its sentence.
  boost::asio::awaitable<base::Result<jail::Message>> Ask(jail::Message request, int descriptor,
                                                          std::chrono::milliseconds timeout);

  // From when a worker is known to run until it is forgotten, its end is remembered.
  void Track(ProcessKey worker);
  void Forget(ProcessKey worker);
  // Waits until the worker has ended. One that isn't tracked has ended, nobody knows how. nullopt: not within
  // `timeout`, or the jailer has ended first. May be cancelled.
  boost::asio::awaitable<std::optional<WorkerExit>> AwaitExit(
      ProcessKey worker, std::optional<std::chrono::milliseconds> timeout);

  // Does the jailer still run?
  bool alive() const;

 private:
  class Mailbox;
  struct Fate {
    std::optional<WorkerExit> exit;
    std::vector<std::shared_ptr<Mailbox>> waiting;
  };

  JailerClient(base::Descriptor channel, pid_t child, std::function<void()> lost);
  void Read();
  void HandleExit(const jail::Message& message);

  const base::Descriptor channel_;
  const pid_t child_;  // -1: somebody else's
  const std::function<void()> lost_;
  std::atomic<bool> closing_ = false;
  mutable std::mutex mutex_;
  bool alive_ = true;
  uint64_t next_number_ = 1;
  std::map<uint64_t, std::shared_ptr<Mailbox>> requests_;
  std::map<ProcessKey, Fate> fates_;
  std::thread reader_;
};

}  // namespace pondpilot::proxy::launch::process
