#pragma once

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "contract/names.h"
#include "worker/flight/worker_token.h"

namespace pondpilot::worker::flight {

// For tests: one unary Flight call as gRPC sees it, without Arrow's client in between.
struct RawAnswer {
  grpc::Status status;
  bool has_answer_trailer = false;
  std::string message;
  std::string early_result;  // the trailers, empty when they are not there
  std::string arrow_detail;
};

inline std::string TextOf(const grpc::ByteBuffer& bytes) {
  grpc::Slice slice;
  if (!bytes.Valid() || !bytes.DumpToSingleSlice(&slice).ok()) return {};
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

// `command`: at most 127 bytes. No token is sent when it is empty.
inline RawAnswer RawCall(const std::string& address, const std::string& token, const std::string& method,
                         const std::string& command, bool ask_early = false) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  if (!token.empty()) context.AddMetadata(contract::kWorkerTokenHeader, token);
  if (ask_early) context.AddMetadata(contract::kEarlyResultHeader, "4096");
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
  const auto& trailers = context.GetServerTrailingMetadata();
  raw.has_answer_trailer = trailers.contains(kAnswerTrailer);
  const auto trailer = [&trailers](const char* key) {
    const auto found = trailers.find(key);
    return found == trailers.end() ? std::string() : std::string(found->second.data(), found->second.size());
  };
  raw.early_result = trailer(contract::kEarlyResultTrailer);
  raw.arrow_detail = trailer(contract::kArrowDetailTrailer);
  raw.message = TextOf(answer);
  return raw;
}

// The messages of a DoGet, undecoded. `ticket`: at most 127 bytes.
inline std::vector<std::string> RawGet(const std::string& address, const std::string& token,
                                       const std::string& ticket) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  context.AddMetadata(contract::kWorkerTokenHeader, token);
  context.set_initial_metadata_corked(true);
  grpc::CompletionQueue queue;
  const auto await = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const grpc::Slice message("\x0a" + std::string(1, static_cast<char>(ticket.size())) + ticket);
  const auto call = stub.PrepareCall(&context, "/arrow.flight.protocol.FlightService/DoGet", &queue);
  call->StartCall(nullptr);
  call->WriteLast(grpc::ByteBuffer(&message, 1), grpc::WriteOptions(), nullptr);
  await();
  std::vector<std::string> messages;
  for (;;) {
    grpc::ByteBuffer bytes;
    call->Read(&bytes, nullptr);
    if (!await()) break;
    messages.push_back(TextOf(bytes));
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  await();
  EXPECT_TRUE(status.ok()) << status.error_message();
  queue.Shutdown();
  while (await()) {
  }
  return messages;
}

}  // namespace pondpilot::worker::flight
