#pragma once

#include <chrono>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"

namespace pondpilot::proxy::auth {

struct IssuedToken {
  std::string token;
  std::chrono::system_clock::time_point expires_at;
};

// What a token says besides its user and its life.
struct Grants {
  bool admin = false;
  std::string profile = {};  // empty: none
};

// Makes tokens that TokenVerifier accepts. Thread-safe.
class TokenIssuer {
 public:
  // `clock` must outlive the issuer.
  TokenIssuer(base::Secret key, const base::Clock& clock);

  // For operators and tests. `ttl` at least one second, `subject` as Principal::user_id.
  base::Result<IssuedToken> Issue(const std::string& subject, std::chrono::seconds ttl,
                                  const Grants& grants = {}) const;

  // One hour, a new sub "demo-…", claim "demo": true. The payload is ASCII and its length a multiple of
  // three, so that the token's middle part has no padding and needs no URL-safe characters: any base64 tool
  // decodes it.
  base::Result<IssuedToken> IssueDemo() const;

 private:
  base::Secret key_;
  const base::Clock& clock_;
};

}  // namespace pondpilot::proxy::auth
