#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/error.h"

namespace pondpilot::worker::session {

struct PreparedLimits {
  size_t statements = 1024;
  // The texts of all of them together.
  size_t text_bytes = 64 << 20;
  std::chrono::milliseconds idle{60 * 60'000};
};

// Texts of prepared statements under unguessable handles. The text is planned again at each execution, which
// sees the tables as they are then. Thread-safe.
class PreparedStore {
 public:
  explicit PreparedStore(const base::Clock& clock, PreparedLimits limits = {})
      : clock_(clock), limits_(limits) {}

  // Returns the handle. The longest unused go when a bound is passed.
  std::string Put(std::string sql);
  // kNotFound when the handle was closed, has expired or is none of ours.
  base::Result<std::string> Get(std::string_view handle);
  base::Result<void> Close(std::string_view handle);
  void Sweep();

  std::chrono::milliseconds idle_limit() const { return limits_.idle; }

 private:
  struct Entry {
    std::string sql;
    base::Clock::Steady last_used;
  };

  const base::Clock& clock_;
  const PreparedLimits limits_;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  size_t text_bytes_ = 0;
};

}  // namespace pondpilot::worker::session
