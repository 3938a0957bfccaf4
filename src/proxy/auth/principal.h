#pragma once

#include <chrono>
#include <string>

namespace pondpilot::proxy::auth {

// Who calls, as a verified token says.
struct Principal {
  std::string user_id;  // the token's sub: 1 to kMaxSubjectBytes bytes of UTF-8 without control characters
  bool demo = false;    // from POST /auth/demo-token: stricter limits
  bool admin = false;   // may see and steer the proxy
  std::string profile;  // limits of the worker that it asks for; empty: the usual ones
  std::chrono::system_clock::time_point expires_at;
};

inline constexpr size_t kMaxSubjectBytes = 256;
inline constexpr size_t kMaxProfileBytes = 64;

// Claims of ours.
inline constexpr char kAdminClaim[] = "pondpilot_admin";      // true or false
inline constexpr char kProfileClaim[] = "pondpilot_profile";  // a name

}  // namespace pondpilot::proxy::auth
