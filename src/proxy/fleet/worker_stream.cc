#include "proxy/fleet/worker_stream.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "proxy/fleet/lost_worker.h"

namespace pondpilot::proxy::fleet {

namespace asio = boost::asio;

asio::awaitable<base::Error> WhyBroken(WorkerLease& lease, const ::grpc::Status& status) {
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
  if (status.error_code() == ::grpc::StatusCode::DEADLINE_EXCEEDED) {
    error.code = base::ErrorCode::kDeadlineExceeded;
    error.message = "Your worker did not answer in time.";
    co_return error;
  }
  lease.ReportTrouble();
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (int i = 0; i < kVerdictTicks && lease.DeathReason().empty(); ++i) {
    timer.expires_after(kVerdictTick);
    co_await timer.async_wait(asio::use_awaitable);
  }
  error.message = LostWorkerMessage(lease.DeathReason());
  co_return error;
}

}  // namespace pondpilot::proxy::fleet
