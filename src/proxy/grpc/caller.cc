#include "proxy/grpc/caller.h"

#include "contract/names.h"

namespace pondpilot::proxy::grpc {
namespace {

using base::ErrorCode;
using base::Fail;

}  // namespace

std::string_view AuthorizationOf(const MetadataView& metadata) {
  bool repeated = false;
  return SingleValue(metadata, "authorization", &repeated);
}

base::Result<Caller> IdentifyCaller(const MetadataView& metadata, const Method& method,
                                    const auth::TokenVerifier& verifier,
                                    const auth::CallIdentifiers& identifiers) {
  bool repeated = false;
  const std::string_view authorization = SingleValue(metadata, "authorization", &repeated);
  if (repeated) {
    return Fail(ErrorCode::kUnauthenticated,
                "More than one authorization header was sent; send exactly one.");
  }
  const std::string_view identifier = SingleValue(metadata, contract::kAirportTransactionHeader, &repeated);
  if (repeated) {
    return Fail(ErrorCode::kUnauthenticated, std::string("More than one ") +
                                                 contract::kAirportTransactionHeader +
                                                 " header was sent; send exactly one.");
  }
  const bool has_token = metadata.find("authorization") != metadata.end();
  if (!has_token && !identifier.empty() && method.by_identifier) {
    auto principal = identifiers.Verify(identifier);
    if (!principal) return std::unexpected(principal.error());
    return Caller{std::move(*principal), true};
  }
  auto principal = verifier.VerifyAuthorization(authorization);
  if (!principal) return std::unexpected(principal.error());
  if (!identifier.empty()) {
    const auto user = identifiers.UserOf(identifier);
    if (!user) return std::unexpected(user.error());
    if (*user != principal->user_id) {
      return Fail(ErrorCode::kUnauthenticated,
                  "The transaction's identifier belongs to another user than the token. Begin the "
                  "transaction again with this token.");
    }
  }
  return Caller{std::move(*principal), false};
}

}  // namespace pondpilot::proxy::grpc
