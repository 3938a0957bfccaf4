#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "worker/engine/call_gate.h"
#include "worker/engine/duckdb_headers.h"

namespace pondpilot::worker::engine {

// Makes sure that a cancelled call leaves DuckDB: DuckDB forgets an interrupt that comes just before it
// starts a statement, and a scanner that waits for its server doesn't look at interrupts at all. After a
// moment the interrupt is repeated and, when no other connection can want anything of them, the scanners'
// connections to their servers are shut down; when one can, after a longer grace, in which most scans see the
// interrupt. Again and again until the call has ended. Some functions look at nothing until they are done
// (levenshtein of long strings); a call that is still inside kOverdue after its cancel makes the engine
// unhealthy, because only a new worker helps then. Thread-safe; one thread of its own.
class CancelFollowUp {
 public:
  // How long a cancelled call may take to leave DuckDB.
  static constexpr std::chrono::milliseconds kOverdue{10'000};

  explicit CancelFollowUp(std::chrono::milliseconds overdue = kOverdue) : overdue_after_(overdue) {}
  ~CancelFollowUp();
  CancelFollowUp(const CancelFollowUp&) = delete;
  CancelFollowUp& operator=(const CancelFollowUp&) = delete;

  // What each connection's gate counts itself in.
  const std::shared_ptr<CallGate::Users>& users() const { return users_; }

  // The ports of the servers that are attached.
  void SetRemotePorts(std::set<uint16_t> ports);
  // `gate` tells about the calls of `connection`; watches the call that is inside now.
  void Watch(std::shared_ptr<CallGate> gate, std::shared_ptr<duckdb::Connection> connection);
  // Is a call still inside that was cancelled longer ago than it may take? False again once it has left.
  bool AnyOverdue() const { return overdue_.load() > 0; }

 private:
  struct Watched {
    std::shared_ptr<CallGate> gate;
    std::shared_ptr<duckdb::Connection> connection;
    uint64_t call = 0;
    std::chrono::steady_clock::time_point since;
    std::chrono::steady_clock::time_point next;
    int attempts = 0;
    bool overdue = false;
  };

  void Loop();
  // `alone`: nobody but cancelled calls uses the servers.
  bool Attempt(Watched& watched, const std::set<uint16_t>& ports, bool alone);

  const std::chrono::milliseconds overdue_after_;
  const std::shared_ptr<CallGate::Users> users_ = std::make_shared<CallGate::Users>(0);
  std::atomic<int> overdue_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::set<uint16_t> ports_;
  std::vector<Watched> watched_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pondpilot::worker::engine
