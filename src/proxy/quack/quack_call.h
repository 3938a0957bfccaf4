#pragma once

#include "contract/quack_exchange.h"
#include "proxy/fleet/worker_stream.h"

namespace pondpilot::proxy::quack {

// One message of a client's and its answer, over contract/quack.proto.
class QuackCall : public fleet::WorkerStream<contract::QuackExchange, contract::QuackPiece> {
 public:
  using WorkerStream::WorkerStream;

  // Once, before the first piece is read.
  void Start(const pondpilot::quack::v1::Request& request) {
    StartWith([&](Stub& stub, ::grpc::ClientContext* context, ::grpc::CompletionQueue* queue) {
      return stub.PrepareAsyncExchange(context, request, queue);
    });
  }
};

}  // namespace pondpilot::proxy::quack
