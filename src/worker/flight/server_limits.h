#pragma once

namespace grpc {
class ServerBuilder;
}

namespace pondpilot::worker::flight {

// Threads of the synchronous server: one per call under way, and calls that only wait cost one as well.
inline constexpr int kMaxServerThreads = 128;
inline constexpr int kMaxMetadataBytes = 512 << 10;

// Bounds threads and metadata; messages have none of gRPC's own, results come in large ones.
void ApplyServerLimits(grpc::ServerBuilder& builder);

}  // namespace pondpilot::worker::flight
