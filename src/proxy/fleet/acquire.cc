#include "proxy/fleet/acquire.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace pondpilot::proxy::fleet {

namespace asio = boost::asio;

asio::awaitable<base::Result<WorkerLease>> AcquireWorker(std::shared_ptr<Fleet> fleet, std::string user_id,
                                                         std::string profile, base::Clock::Steady deadline) {
  auto initiate = [fleet, user_id, profile, deadline](auto handler) {
    auto executor = asio::get_associated_executor(handler);
    auto slot = asio::get_associated_cancellation_slot(handler);
    // Posted even when the worker is ready: a completion must not run inside the call that asks for it.
    const uint64_t ticket = fleet->Acquire(
        user_id, profile, deadline,
        [handler = std::move(handler),
         work = asio::make_work_guard(executor)](base::Result<WorkerLease> lease) mutable {
          auto on = work.get_executor();
          asio::post(
              on, [handler = std::move(handler), work = std::move(work), lease = std::move(lease)]() mutable {
                asio::get_associated_cancellation_slot(handler).clear();
                std::move(handler)(std::move(lease));
              });
        });
    if (ticket != 0 && slot.is_connected()) {
      slot.assign([fleet, user_id, ticket](asio::cancellation_type) { fleet->Withdraw(user_id, ticket); });
    }
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(base::Result<WorkerLease>)>(
      std::move(initiate), asio::use_awaitable);
}

}  // namespace pondpilot::proxy::fleet
