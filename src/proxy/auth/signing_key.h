#pragma once

#include <jwt.h>

#include <memory>

#include "base/secret.h"

namespace pondpilot::proxy::auth {

// The HS256 key in libjwt's form. Immutable, shared by threads.
class SigningKey {
 public:
  explicit SigningKey(const base::Secret& key);

  // Owned by this object. Null only when libjwt could not take the key.
  const jwk_item_t* item() const { return item_; }

 private:
  struct Free {
    void operator()(jwk_set_t* set) const { jwks_free(set); }
  };
  std::unique_ptr<jwk_set_t, Free> set_;
  const jwk_item_t* item_ = nullptr;
};

}  // namespace pondpilot::proxy::auth
