#pragma once

#include <grpcpp/support/status.h>

#include "base/error.h"

namespace pondpilot::proxy::grpc {

// The one mapping from the project's codes to gRPC's. Only the public message goes out.
::grpc::Status ToGrpcStatus(const base::Error& error);

}  // namespace pondpilot::proxy::grpc
