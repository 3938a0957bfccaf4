#pragma once

#include <cstdint>
#include <limits>

namespace pondpilot::base {

// Has DuckDB the timestamp in microseconds, its own unit? `value` counts units of `each` microseconds; the
// two ends of int64 but the lowest are the infinities. DuckDB gives its whole database up when it can't
// compute one.
inline bool FitsMicroseconds(int64_t value, int64_t each) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  return value == kMost || value == -kMost || (value <= kMost / each && value >= -kMost / each);
}

}  // namespace pondpilot::base
