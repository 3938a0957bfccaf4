#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/async_stream.h>

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "contract/names.h"
#include "proxy/fleet/await_operation.h"
#include "proxy/fleet/control_queue.h"
#include "proxy/fleet/fleet.h"
#include "telemetry/trace_context.h"

namespace pondpilot::proxy::fleet {

// Why a worker broke off in the middle of a call, which ended with `status`; its exit is waited for a moment.
boost::asio::awaitable<base::Error> WhyBroken(WorkerLease& lease, const ::grpc::Status& status);

// One call to a worker whose answer comes in pieces. While no piece is asked for, the worker is held back by
// flow control. Destroying it ends the call, and what it has begun with it.
template <typename Service, typename Piece>
class WorkerStream {
 public:
  WorkerStream(WorkerLease lease, std::shared_ptr<ControlQueue> queue, const std::string& request_id,
               const std::string& traceparent)
      : lease_(std::move(lease)), queue_(std::move(queue)), call_(std::make_shared<Call>()) {
    call_->context.AddMetadata(contract::kWorkerTokenHeader, lease_.worker().token.Reveal());
    call_->context.AddMetadata(contract::kRequestIdHeader, request_id);
    if (!traceparent.empty()) call_->context.AddMetadata(telemetry::kTraceParent, traceparent);
    call_->stub = Service::NewStub(lease_.worker().channel);
  }
  ~WorkerStream() { call_->context.TryCancel(); }
  WorkerStream(const WorkerStream&) = delete;
  WorkerStream& operator=(const WorkerStream&) = delete;

  const WorkerLease& lease() const { return lease_; }

  // Before the call is started: it ends when so much time has passed.
  void SetDeadline(std::chrono::milliseconds most) {
    call_->context.set_deadline(std::chrono::system_clock::now() + most);
  }

  // The next piece; not after one that was the last. kUnavailable, with the reason, when the worker broke
  // off. Cancelling the coroutine cancels the call.
  boost::asio::awaitable<base::Result<Piece>> Next() {
    const std::shared_ptr<Call> call = call_;
    const std::shared_ptr<::grpc::ClientContext> context(call, &call->context);
    const bool read = co_await AwaitOperation(*queue_, context,
                                              [call](void* tag) { call->reader->Read(&call->piece, tag); });
    if (read) co_return std::move(call->piece);
    co_await AwaitOperation(*queue_, context,
                            [call](void* tag) { call->reader->Finish(&call->status, tag); });
    co_return std::unexpected(co_await WhyBroken(lease_, call->status));
  }

 protected:
  using Stub = typename Service::Stub;
  // Once, before the first piece is read. `prepare` makes the reader, without starting it.
  template <typename Prepare>
  void StartWith(Prepare prepare) {
    call_->reader = prepare(*call_->stub, &call_->context, queue_->queue());
    call_->reader->StartCall(queue_->Begin([call = call_](bool) {}));
  }

 private:
  // What has to live until gRPC is done with it.
  struct Call {
    ::grpc::ClientContext context;
    std::unique_ptr<Stub> stub;
    std::unique_ptr<::grpc::ClientAsyncReader<Piece>> reader;
    Piece piece;
    ::grpc::Status status;
  };

  WorkerLease lease_;
  std::shared_ptr<ControlQueue> queue_;
  std::shared_ptr<Call> call_;
};

}  // namespace pondpilot::proxy::fleet
