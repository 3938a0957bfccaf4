#include "proxy/launch/launcher.h"

#include "base/secret.h"

namespace pondpilot::proxy::launch {
namespace {

constexpr size_t kUserDigestDigits = 16;

}  // namespace

std::string UserDigest(const std::string& user_id) {
  return base::Sha256Hex(user_id).substr(0, kUserDigestDigits);
}

}  // namespace pondpilot::proxy::launch
