#pragma once

#include "contract/sql.grpc.pb.h"
#include "proxy/fleet/worker_stream.h"

namespace pondpilot::proxy::sql {

// One call of contract/sql.proto: a document that the caller's worker writes, read piece by piece.
class DocumentCall : public fleet::WorkerStream<pondpilot::sql::v1::Sql, pondpilot::sql::v1::Piece> {
 public:
  using WorkerStream::WorkerStream;

  // One of the two, once, before the first piece is read.
  void Start(const pondpilot::sql::v1::RunRequest& request) {
    StartWith([&](Stub& stub, ::grpc::ClientContext* context, ::grpc::CompletionQueue* queue) {
      return stub.PrepareAsyncRun(context, request, queue);
    });
  }
  void Start(const pondpilot::sql::v1::CatalogRequest& request) {
    StartWith([&](Stub& stub, ::grpc::ClientContext* context, ::grpc::CompletionQueue* queue) {
      return stub.PrepareAsyncCatalog(context, request, queue);
    });
  }
};

}  // namespace pondpilot::proxy::sql
