#pragma once

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <string>

#include "contract/names.h"
#include "worker/flight/worker_token.h"

namespace pondpilot::worker::flight {

// For tests: one unary Flight call as gRPC sees it, without Arrow's client in between.
struct RawAnswer {
  grpc::Status status;
  bool has_answer_trailer = false;
};

// `command`: at most 127 bytes. No token is sent when it is empty.
inline RawAnswer RawCall(const std::string& address, const std::string& token, const std::string& method,
                         const std::string& command) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  if (!token.empty()) context.AddMetadata(contract::kWorkerTokenHeader, token);
  // FlightDescriptor{type: CMD, cmd: command}
  const grpc::Slice message("\x08\x02\x12" + std::string(1, static_cast<char>(command.size())) + command);
  const grpc::ByteBuffer request(&message, 1);
  grpc::CompletionQueue queue;
  grpc::ByteBuffer answer;
  RawAnswer raw;
  const auto call =
      stub.PrepareUnaryCall(&context, "/arrow.flight.protocol.FlightService/" + method, request, &queue);
  call->StartCall();
  call->Finish(&answer, &raw.status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  raw.has_answer_trailer = context.GetServerTrailingMetadata().contains(kAnswerTrailer);
  return raw;
}

}  // namespace pondpilot::worker::flight
