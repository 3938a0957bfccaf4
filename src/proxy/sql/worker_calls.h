#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <expected>
#include <memory>

#include "base/clock.h"
#include "contract/sql.pb.h"
#include "proxy/auth/principal.h"
#include "proxy/fleet/control_queue.h"
#include "proxy/fleet/fleet.h"
#include "proxy/http/message.h"
#include "proxy/http/problem.h"
#include "proxy/sql/document_call.h"

namespace pondpilot::proxy::sql {

struct WorkerServices {
  std::shared_ptr<fleet::Fleet> fleet;
  const base::Clock* clock = nullptr;  // must outlive the calls
  // While it is true no new work is taken.
  std::shared_ptr<const std::atomic<bool>> draining;
  // The longest that a request waits for its worker; may change.
  std::shared_ptr<const std::atomic<std::chrono::milliseconds>> worker_wait;
};

// What a document's first piece has shown to be one.
struct OpenedDocument {
  std::shared_ptr<DocumentCall> call;
  pondpilot::sql::v1::Piece first;
};

// Has callers' workers write documents. Used on one thread, the fleet's executor's.
class WorkerCalls {
 public:
  explicit WorkerCalls(WorkerServices services) : services_(std::move(services)) {}

  // Waits for the caller's worker and for the first piece of its answer to `asked`, a request of
  // contract/sql.proto. The problem says why there is no document.
  template <typename Asked>
  boost::asio::awaitable<std::expected<OpenedDocument, http::Problem>> Open(const http::Request& request,
                                                                            const auth::Principal& principal,
                                                                            const Asked& asked) const;

 private:
  const WorkerServices services_;
  const std::shared_ptr<fleet::ControlQueue> queue_ = std::make_shared<fleet::ControlQueue>();
};

// "A result over HTTP broke off", for the log.
void LogBroken(const base::Error& error, const std::string& request_id);

}  // namespace pondpilot::proxy::sql
