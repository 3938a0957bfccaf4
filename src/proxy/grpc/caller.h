#pragma once

#include <string_view>

#include "base/error.h"
#include "proxy/auth/call_identifier.h"
#include "proxy/auth/principal.h"
#include "proxy/auth/token_verifier.h"
#include "proxy/grpc/metadata.h"
#include "proxy/grpc/method_table.h"

namespace pondpilot::proxy::grpc {

struct Caller {
  auth::Principal principal;
  bool by_identifier = false;  // without a token
};

// Who calls: by the token among the metadata; where there is none and the method allows it, by the identifier
// of an airport transaction. An identifier beside a token must be the same user's. Every refusal is
// kUnauthenticated.
base::Result<Caller> IdentifyCaller(const MetadataView& metadata, const Method& method,
                                    const auth::TokenVerifier& verifier,
                                    const auth::CallIdentifiers& identifiers);

// The one authorization header, or empty.
std::string_view AuthorizationOf(const MetadataView& metadata);

}  // namespace pondpilot::proxy::grpc
