#include "worker/flight/server_limits.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

namespace pondpilot::worker::flight {

constexpr int kLeastPingIntervalMs = 1000;
// How often its threads that have nothing to do look around; they are woken by what they wait for.
constexpr int kIdleLookMs = 3'600'000;

void ApplyServerLimits(grpc::ServerBuilder& builder) {
  grpc::ResourceQuota quota("worker");
  quota.SetMaxThreads(kMaxServerThreads);
  builder.SetResourceQuota(quota);
  builder.SetSyncServerOption(grpc::ServerBuilder::CQ_TIMEOUT_MSEC, kIdleLookMs);
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // The proxy asks over TCP whether the worker is still there, also while a long statement sends nothing.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kLeastPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
}

}  // namespace pondpilot::worker::flight
