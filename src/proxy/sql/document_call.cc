#include "proxy/sql/document_call.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/async_stream.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "contract/names.h"
#include "proxy/fleet/await_operation.h"
#include "proxy/fleet/lost_worker.h"
#include "telemetry/trace_context.h"

namespace pondpilot::proxy::sql {

namespace asio = boost::asio;
namespace proto = pondpilot::sql::v1;
using proto::Piece;

// What has to live until gRPC is done with it.
struct DocumentCall::Call {
  ::grpc::ClientContext context;
  std::unique_ptr<proto::Sql::Stub> stub;
  std::unique_ptr<::grpc::ClientAsyncReader<Piece>> reader;
  Piece piece;
  ::grpc::Status status;
};

DocumentCall::DocumentCall(fleet::WorkerLease lease, std::shared_ptr<fleet::ControlQueue> queue,
                           const std::string& request_id, const std::string& traceparent)
    : lease_(std::move(lease)), queue_(std::move(queue)), call_(std::make_shared<Call>()) {
  call_->context.AddMetadata(contract::kWorkerTokenHeader, lease_.worker().token.Reveal());
  call_->context.AddMetadata(contract::kRequestIdHeader, request_id);
  if (!traceparent.empty()) call_->context.AddMetadata(telemetry::kTraceParent, traceparent);
  call_->stub = proto::Sql::NewStub(lease_.worker().channel);
}

DocumentCall::~DocumentCall() { call_->context.TryCancel(); }

void DocumentCall::Start(const proto::RunRequest& request) {
  call_->reader = call_->stub->PrepareAsyncRun(&call_->context, request, queue_->queue());
  call_->reader->StartCall(queue_->Begin([call = call_](bool) {}));
}

void DocumentCall::Start(const proto::CatalogRequest& request) {
  call_->reader = call_->stub->PrepareAsyncCatalog(&call_->context, request, queue_->queue());
  call_->reader->StartCall(queue_->Begin([call = call_](bool) {}));
}

asio::awaitable<base::Result<Piece>> DocumentCall::Next() {
  const std::shared_ptr<Call> call = call_;
  const std::shared_ptr<::grpc::ClientContext> context(call, &call->context);
  const bool read = co_await fleet::AwaitOperation(
      *queue_, context, [call](void* tag) { call->reader->Read(&call->piece, tag); });
  if (read) co_return std::move(call->piece);
  co_await fleet::AwaitOperation(*queue_, context,
                                 [call](void* tag) { call->reader->Finish(&call->status, tag); });
  co_return std::unexpected(co_await WhyBroken());
}

asio::awaitable<base::Error> DocumentCall::WhyBroken() {
  const ::grpc::Status& status = call_->status;
  base::Error error;
  error.code = base::ErrorCode::kUnavailable;
  error.detail = status.error_message();
  if (status.error_code() == ::grpc::StatusCode::RESOURCE_EXHAUSTED) {
    // All of the worker's threads are at other calls.
    error.message =
        "Your worker has more calls than it can take. Read or cancel some of them, then try again.";
    error.retry_after = std::chrono::seconds(1);
    co_return error;
  }
  lease_.ReportTrouble();
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (int i = 0; i < fleet::kVerdictTicks && lease_.DeathReason().empty(); ++i) {
    timer.expires_after(fleet::kVerdictTick);
    co_await timer.async_wait(asio::use_awaitable);
  }
  error.message = fleet::LostWorkerMessage(lease_.DeathReason());
  co_return error;
}

}  // namespace pondpilot::proxy::sql
