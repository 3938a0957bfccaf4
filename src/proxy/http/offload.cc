#include "proxy/http/offload.h"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>

namespace pondpilot::proxy::http {

namespace asio = boost::asio;

bool Offload::Enter() {
  if (tasks_.fetch_add(1) < kMostTasks) return true;
  --tasks_;
  return false;
}

base::Error Offload::Full() {
  return {base::ErrorCode::kUnavailable,
          "The proxy has as much to read as it can at the moment. Try again in a second.", "",
          std::chrono::seconds(1)};
}

asio::awaitable<void> Offload::RunThere(std::function<void()> task) {
  const auto start = [this, &task](auto handler) {
    asio::post(pool_, [this, &task, handler = std::move(handler)]() mutable {
      std::exception_ptr failure;
      try {
        task();
      } catch (...) {
        failure = std::current_exception();
      }
      ++taken_;
      --tasks_;
      const auto executor = asio::get_associated_executor(handler);
      asio::post(executor,
                 [handler = std::move(handler), failure]() mutable { std::move(handler)(failure); });
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(std::exception_ptr)>(
      start, asio::use_awaitable);
}

}  // namespace pondpilot::proxy::http
