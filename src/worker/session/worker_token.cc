#include "worker/session/worker_token.h"

#include "base/secret.h"

namespace pondpilot::worker::session {

bool IsWorkerToken(std::string_view token, const std::string& token_sha256) {
  return !token.empty() && base::ConstantTimeEquals(base::Sha256Hex(token), token_sha256);
}

}  // namespace pondpilot::worker::session
