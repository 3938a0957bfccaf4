#pragma once

#include <chrono>
#include <string>

namespace pondpilot::proxy::auth {

// Who calls, as a verified token says.
struct Principal {
  std::string user_id;  // the token's sub: 1 to kMaxSubjectBytes bytes of UTF-8 without control characters
  bool demo = false;    // from POST /auth/demo-token: stricter limits
  std::chrono::system_clock::time_point expires_at;
};

inline constexpr size_t kMaxSubjectBytes = 256;

}  // namespace pondpilot::proxy::auth
