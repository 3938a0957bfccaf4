#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "proxy/auth/principal.h"

namespace pondpilot::proxy::auth {

// Longer tokens are refused unread.
inline constexpr size_t kMaxTokenBytes = 64 << 10;

// The token in the value of an authorization header: "Bearer <jwt>" (scheme in any case), or "Basic …" whose
// password is the JWT (RFC 7617). kUnauthenticated when there is none.
base::Result<std::string> TokenFromAuthorization(std::string_view header);

// Checks bearer tokens (JWT, RFC 7519, HS256). Verified tokens are cached by digest until they expire, in a
// bounded cache. Thread-safe.
class TokenVerifier {
 public:
  // `clock` must outlive the verifier.
  TokenVerifier(base::Secret key, const base::Clock& clock);
  ~TokenVerifier();
  TokenVerifier(const TokenVerifier&) = delete;
  TokenVerifier& operator=(const TokenVerifier&) = delete;

  // `token` is the compact JWT alone. Every refusal is kUnauthenticated with a message that says which rule
  // it broke, never with the token or a part of it.
  base::Result<Principal> Verify(std::string_view token) const;

  // TokenFromAuthorization, then Verify.
  base::Result<Principal> VerifyAuthorization(std::string_view header) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pondpilot::proxy::auth
