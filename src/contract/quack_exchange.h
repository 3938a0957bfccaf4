#pragma once

#include <grpcpp/completion_queue.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/method_handler.h>
#include <grpcpp/support/slice.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <vector>

#include "contract/quack.grpc.pb.h"

namespace pondpilot::contract {

// quack.v1.Piece, whose data are not copied: they stay where they were made until the kernel takes them, and
// where it put them until they are passed on. The same bytes on the wire as the generated class has, with the
// data behind all else.
struct QuackPiece {
  std::vector<grpc::Slice> data;
  bool last = false;
  bool holds_state = false;
  bool holds_results = false;
  uint64_t size = 0;
};

inline constexpr char kQuackExchange[] = "/pondpilot.quack.v1.Quack/Exchange";

// What the generated Quack is, with QuackPiece in place of Piece.
class QuackExchange {
 public:
  class Stub {
   public:
    explicit Stub(const std::shared_ptr<grpc::ChannelInterface>& channel)
        : channel_(channel), method_(kQuackExchange, grpc::internal::RpcMethod::SERVER_STREAMING, channel) {}

    std::unique_ptr<grpc::ClientAsyncReader<QuackPiece>> PrepareAsyncExchange(
        grpc::ClientContext* context, const pondpilot::quack::v1::Request& request,
        grpc::CompletionQueue* queue) {
      return std::unique_ptr<grpc::ClientAsyncReader<QuackPiece>>(
          grpc::internal::ClientAsyncReaderFactory<QuackPiece>::Create(channel_.get(), queue, method_,
                                                                       context, request, false, nullptr));
    }

   private:
    std::shared_ptr<grpc::ChannelInterface> channel_;
    const grpc::internal::RpcMethod method_;
  };
  class Service : public grpc::Service {
   public:
    Service() {
      using Handler =
          grpc::internal::ServerStreamingHandler<Service, pondpilot::quack::v1::Request, QuackPiece>;
      AddMethod(new grpc::internal::RpcServiceMethod(
          kQuackExchange, grpc::internal::RpcMethod::SERVER_STREAMING,
          new Handler(
              [](Service* service, grpc::ServerContext* context, const pondpilot::quack::v1::Request* request,
                 Writer* writer) { return service->Exchange(context, request, writer); },
              this)));
    }

   protected:
    using Writer = grpc::ServerWriter<QuackPiece>;
    virtual grpc::Status Exchange(grpc::ServerContext* context, const pondpilot::quack::v1::Request* request,
                                  Writer* writer) = 0;
  };
  static std::unique_ptr<Stub> NewStub(const std::shared_ptr<grpc::ChannelInterface>& channel) {
    return std::make_unique<Stub>(channel);
  }
};

}  // namespace pondpilot::contract

template <>
class grpc::SerializationTraits<pondpilot::contract::QuackPiece> {
 public:
  static Status Serialize(const pondpilot::contract::QuackPiece& piece, ByteBuffer* bytes, bool* own);
  // Takes the bytes. INTERNAL for what is no piece.
  static Status Deserialize(ByteBuffer* bytes, pondpilot::contract::QuackPiece* piece);
};
