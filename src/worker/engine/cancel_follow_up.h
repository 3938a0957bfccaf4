#pragma once

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
// grace the interrupt is repeated and the scanners' connections are shut down, again and again until the call
// has ended or the attempts are used up (then only a new worker helps; see levenshtein in the lock-down
// notes). Thread-safe; one thread of its own.
class CancelFollowUp {
 public:
  CancelFollowUp() = default;
  ~CancelFollowUp();
  CancelFollowUp(const CancelFollowUp&) = delete;
  CancelFollowUp& operator=(const CancelFollowUp&) = delete;

  // The ports of the servers that are attached.
  void SetRemotePorts(std::set<uint16_t> ports);
  // `gate` tells about the calls of `connection`; watches the call that is inside now.
  void Watch(std::shared_ptr<CallGate> gate, std::shared_ptr<duckdb::Connection> connection);

 private:
  struct Watched {
    std::shared_ptr<CallGate> gate;
    std::shared_ptr<duckdb::Connection> connection;
    uint64_t call = 0;
    std::chrono::steady_clock::time_point next;
    int attempts = 0;
  };

  void Loop();
  bool Attempt(Watched& watched, const std::set<uint16_t>& ports);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::set<uint16_t> ports_;
  std::vector<Watched> watched_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pondpilot::worker::engine
