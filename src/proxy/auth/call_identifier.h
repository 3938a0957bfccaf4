#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "proxy/auth/principal.h"

namespace pondpilot::proxy::auth {

// Identifiers that stand for a verified token on calls where a client sends none. DuckDB's airport extension
// sends back, on its scans and writes, the identifier that it was given for its transaction, and has no token
// there. The identifier names the user, what of the token decides about a worker, and when it ends: with the
// token, or after kLife. It is signed and nothing of it is stored. Thread-safe.
class CallIdentifiers {
 public:
  // `key` signs; the same through restarts. `clock` must outlive the object.
  CallIdentifiers(base::Secret key, const base::Clock& clock) : key_(std::move(key)), clock_(clock) {}

  // Printable ASCII without blanks, for a header; a credential.
  std::string Issue(const Principal& principal) const;

  // Whose it is; never an administrator. Every refusal is kUnauthenticated and says which rule was broken,
  // never the identifier.
  base::Result<Principal> Verify(std::string_view identifier) const;

  // For a call that has a token of its own: the identifier's user, also when it has expired.
  base::Result<std::string> UserOf(std::string_view identifier) const;

  // The longest that an identifier lives: as long as a client's transaction may read and write.
  static constexpr std::chrono::hours kLife{1};
  static constexpr size_t kMaxBytes = 2048;

 private:
  std::string Sign(std::string_view payload) const;
  base::Result<Principal> Read(std::string_view identifier) const;

  const base::Secret key_;
  const base::Clock& clock_;
};

}  // namespace pondpilot::proxy::auth
