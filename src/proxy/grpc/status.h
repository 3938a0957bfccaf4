#pragma once

#include <grpcpp/support/status.h>

#include <optional>
#include <string>

#include "base/error.h"
#include "proxy/grpc/metadata.h"

namespace pondpilot::proxy::grpc {

// The one mapping from the project's codes to gRPC's. Only the public message goes out.
::grpc::Status ToGrpcStatus(const base::Error& error);

// The code that a worker has named in its trailers because Flight has none for it; nullopt when it named
// none.
std::optional<::grpc::StatusCode> NamedCode(const MetadataView& trailers);

// The message without the detail that Arrow's Flight server has added to it, in which that name stands.
std::string WithoutDetail(std::string message, const MetadataView& trailers);

}  // namespace pondpilot::proxy::grpc
