#pragma once

#include <grpcpp/client_context.h>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "proxy/fleet/control_queue.h"

namespace pondpilot::proxy::fleet {

// Starts one operation of a gRPC call on the queue and completes with gRPC's `ok`, on the executor of the
// coroutine that waits. Cancelling the coroutine cancels the whole call; the operation then ends soon.
// `start` is called once with the operation's tag. `call` keeps alive what the operation needs, its context
// among it.
template <typename Start>
boost::asio::awaitable<bool> AwaitOperation(ControlQueue& queue, std::shared_ptr<::grpc::ClientContext> call,
                                            Start start) {
  namespace asio = boost::asio;
  auto initiate = [&queue, call, start](auto handler) {
    using Handler = decltype(handler);
    auto executor = asio::get_associated_executor(handler);
    if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected()) {
      // The call outlives the slot's handler: it is cleared before the completion runs.
      slot.assign([call](asio::cancellation_type) { call->TryCancel(); });
    }
    // The queue asks for copyable functions; the work guard keeps the executor's context running meanwhile.
    struct Pending {
      Handler handler;
      asio::executor_work_guard<decltype(executor)> work;
    };
    auto pending = std::make_shared<Pending>(Pending{std::move(handler), asio::make_work_guard(executor)});
    void* tag = queue.Begin([pending, call](bool ok) mutable {
      auto on = pending->work.get_executor();
      // The call goes along: its context holds the channel, and the last channel must not end on the queue's
      // thread, which would wait for itself there.
      asio::post(on, [pending = std::move(pending), call = std::move(call), ok]() mutable {
        auto done = std::move(pending->handler);
        pending.reset();
        asio::get_associated_cancellation_slot(done).clear();
        std::move(done)(ok);
      });
    });
    start(tag);
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(std::move(initiate),
                                                                                     asio::use_awaitable);
}

}  // namespace pondpilot::proxy::fleet
