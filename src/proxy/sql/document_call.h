#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "base/error.h"
#include "contract/sql.grpc.pb.h"
#include "proxy/fleet/control_queue.h"
#include "proxy/fleet/fleet.h"

namespace pondpilot::proxy::sql {

// One call of contract/sql.proto: a document that the caller's worker writes, read piece by piece. While no
// piece is asked for, the worker is held back by flow control. Destroying it ends the call, and the statement
// with it.
class DocumentCall {
 public:
  // `queue` must outlive the call.
  DocumentCall(fleet::WorkerLease lease, std::shared_ptr<fleet::ControlQueue> queue,
               const std::string& request_id, const std::string& traceparent);
  ~DocumentCall();
  DocumentCall(const DocumentCall&) = delete;
  DocumentCall& operator=(const DocumentCall&) = delete;

  // One of the two, once, before the first piece is read.
  void Start(const pondpilot::sql::v1::RunRequest& request);
  void Start(const pondpilot::sql::v1::CatalogRequest& request);

  // The next piece; not after one that was the last. kUnavailable, with the reason, when the worker broke
  // off. Cancelling the coroutine cancels the statement.
  boost::asio::awaitable<base::Result<pondpilot::sql::v1::Piece>> Next();

 private:
  struct Call;
  boost::asio::awaitable<base::Error> WhyBroken();

  fleet::WorkerLease lease_;
  std::shared_ptr<fleet::ControlQueue> queue_;
  std::shared_ptr<Call> call_;
};

}  // namespace pondpilot::proxy::sql
