#include "worker/flight/server_limits.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

namespace pondpilot::worker::flight {

void ApplyServerLimits(grpc::ServerBuilder& builder) {
  grpc::ResourceQuota quota("worker");
  quota.SetMaxThreads(kMaxServerThreads);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace pondpilot::worker::flight
