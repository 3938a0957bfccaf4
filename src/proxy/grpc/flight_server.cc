#include "proxy/grpc/flight_server.h"

#include <grpc/grpc.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "proxy/grpc/completion_loop.h"
#include "proxy/grpc/live_calls.h"
#include "proxy/grpc/relay_call.h"

namespace pondpilot::proxy::grpc {
namespace {

// A token of 64 KiB with its cookies fits; gRPC's own default of 8 KiB is too small for big tokens.
constexpr int kMaxMetadataBytes = 256 << 10;

// A dead client is noticed after this much silence plus the timeout.
constexpr int kKeepaliveMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 10'000;

// A message of a client's: a request, or one batch of an upload. gRPC reads it whole before anyone sees it.
constexpr int kMaxMessageBytes = 32 << 20;

// What all clients' messages may take together; beyond it gRPC reads more slowly. Results don't count.
constexpr size_t kMessageMemory = 192 << 20;

// Calls that one connection may have open at once; a browser or a BI tool needs a few dozen.
constexpr int kMaxStreamsPerConnection = 1000;

// Half of the cores: a loop moves bytes as fast as the other half can produce and consume them, and with
// fewer loops fewer events have to be handed from the thread that polled to the one that waits for them.
unsigned LoopCount() { return std::clamp(std::thread::hardware_concurrency() / 2, 1u, 8u); }

}  // namespace

struct FlightServer::State {
  explicit State(RelayServices services) : relay(std::move(services)) {}

  Relay relay;
  std::vector<std::unique_ptr<CompletionLoop>> loops;
  std::unique_ptr<::grpc::Server> server;
  int port = 0;
  bool shut_down = false;
};

base::Result<std::unique_ptr<FlightServer>> FlightServer::Start(const std::string& host, uint16_t port,
                                                                RelayServices services) {
  auto state = std::make_unique<State>(std::move(services));
  ::grpc::ServerBuilder builder;
  const bool ipv6 = host.find(':') != std::string::npos;
  const std::string address = (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  builder.AddListeningPort(address, ::grpc::InsecureServerCredentials(), &state->port);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  ::grpc::ResourceQuota quota("clients");
  quota.Resize(kMessageMemory);
  builder.SetResourceQuota(quota);
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Two proxies must not share a port by accident and each get half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterAsyncGenericService(&state->relay.service);
  for (unsigned i = 0; i < LoopCount(); ++i) {
    state->loops.push_back(std::make_unique<CompletionLoop>(builder.AddCompletionQueue()));
  }
  state->server = builder.BuildAndStart();
  if (!state->server || state->port == 0) {
    return base::Fail(
        base::ErrorCode::kUnavailable,
        "The gRPC port " + address +
            " can't be opened: it is taken, or the address is not this machine's. Set server.grpc_port "
            "(GRPC_PORT) to a free port or end the process that holds it.");
  }
  for (const auto& loop : state->loops) {
    RelayCall::Await(state->relay, *loop);
    loop->Start();
  }
  return std::unique_ptr<FlightServer>(new FlightServer(std::move(state)));
}

FlightServer::FlightServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

FlightServer::~FlightServer() {
  Shutdown(std::chrono::milliseconds(0));
  // Each call has a bound: the fleet answers by its deadline, the worker by its cancellation.
  state_->relay.live.AwaitNone();
  for (const auto& loop : state_->loops) loop->Stop();
}

uint16_t FlightServer::port() const { return static_cast<uint16_t>(state_->port); }

void FlightServer::Shutdown(std::chrono::milliseconds grace) {
  if (state_->shut_down) return;
  state_->shut_down = true;
  state_->relay.live.Interrupt();
  state_->server->Shutdown(std::chrono::system_clock::now() + grace);
}

}  // namespace pondpilot::proxy::grpc
