#pragma once

#include <grpcpp/server_context.h>

#include <iterator>
#include <string>

#include "contract/names.h"
#include "worker/session/worker_token.h"

namespace pondpilot::worker::session {

// UNAUTHENTICATED for a call of gRPC that does not carry the worker's token, once.
inline grpc::Status CheckCallToken(const grpc::ServerContextBase& context, const std::string& token_sha256) {
  const auto [first, last] = context.client_metadata().equal_range(contract::kWorkerTokenHeader);
  if (first != last && std::next(first) == last &&
      IsWorkerToken({first->second.data(), first->second.size()}, token_sha256)) {
    return grpc::Status::OK;
  }
  return {grpc::StatusCode::UNAUTHENTICATED, "This worker answers its own proxy only."};
}

}  // namespace pondpilot::worker::session
