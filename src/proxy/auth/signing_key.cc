#include "proxy/auth/signing_key.h"

#include <string>

#include "base/base64.h"

namespace pondpilot::proxy::auth {

SigningKey::SigningKey(const base::Secret& key) {
  // RFC 7518 section 6.4: a symmetric key as JWK.
  const base::Secret jwk(R"({"kty":"oct","alg":"HS256","k":")" + base::ToBase64Url(key.Reveal()) + "\"}");
  set_.reset(jwks_create(jwk.Reveal().c_str()));
  if (set_ != nullptr && jwks_error_any(set_.get()) == 0) item_ = jwks_item_get(set_.get(), 0);
}

}  // namespace pondpilot::proxy::auth
