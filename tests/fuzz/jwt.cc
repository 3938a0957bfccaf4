// The Authorization header. "h" and a header as it comes; "s", a header and a payload apart by a line end,
// which are signed with the right key, so that what is behind the signature is reached.
#include <string>
#include <string_view>

#include "base/base64.h"
#include "base/hex.h"
#include "base/secret.h"
#include "check.h"
#include "proxy/auth/token_verifier.h"

namespace {

using namespace pondpilot;

const base::Secret& Key() {
  static const base::Secret key("a-key-for-fuzzing-that-is-long-enough-for-hs256");
  return key;
}

void CheckPrincipal(const base::Result<proxy::auth::Principal>& who) {
  if (who) {
    FUZZ_CHECK(!who->user_id.empty() && who->user_id.size() <= 1024);
  } else {
    FUZZ_CHECK(who.error().code == base::ErrorCode::kUnauthenticated ||
               who.error().code == base::ErrorCode::kPermissionDenied);
    FUZZ_CHECK(!who.error().message.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const base::ManualClock clock;
  const proxy::auth::TokenVerifier verifier(Key(), clock);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'h') {
    CheckPrincipal(verifier.VerifyAuthorization(text));
    return 0;
  }
  const size_t line = text.find('\n');
  if (line == text.npos) return 0;
  const std::string signed_part =
      base::ToBase64Url(text.substr(0, line)) + "." + base::ToBase64Url(text.substr(line + 1));
  const auto digest = base::FromHex(base::HmacSha256Hex(Key(), signed_part));
  CheckPrincipal(verifier.VerifyAuthorization("Bearer " + signed_part + "." + base::ToBase64Url(*digest)));
  return 0;
}
