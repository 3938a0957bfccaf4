#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace pondpilot::proxy::http {

// Takes work that grows with its input away from the event loop, on which everybody waits: reading a
// megabyte of JSON takes it as long as hundreds of small requests. A thread and a bounded queue. Whoever
// waits for it must not outlive it: it ends its work before it is destroyed.
class Offload {
 public:
  // What has more bytes than this goes to the thread; with less, going there costs more than it saves.
  static constexpr size_t kSmallBytes = 64 << 10;
  // How many may wait or be worked on.
  static constexpr size_t kMostTasks = 64;

  Offload() = default;
  ~Offload() { pool_.join(); }
  Offload(const Offload&) = delete;
  Offload& operator=(const Offload&) = delete;

  // The result of `work`, which reads `bytes` and throws what it likes; kUnavailable when the queue is full.
  // `work` is not cancelled, and what it refers to may be the caller's: it is awaited.
  template <std::invocable Work>
  boost::asio::awaitable<base::Result<std::invoke_result_t<Work>>> Run(size_t bytes, Work work) {
    using Done = base::Result<std::invoke_result_t<Work>>;
    if (bytes <= kSmallBytes) co_return Done(std::in_place, work());
    if (!Enter()) co_return std::unexpected(Full());
    std::optional<std::invoke_result_t<Work>> result;
    std::function<void()> task = [&result, &work] { result.emplace(work()); };
    co_await RunThere(std::move(task));
    co_return Done(std::in_place, std::move(*result));
  }

  // How many have been taken away from the event loop so far.
  size_t taken() const { return taken_; }

 private:
  bool Enter();
  static base::Error Full();
  boost::asio::awaitable<void> RunThere(std::function<void()> task);

  std::atomic<size_t> tasks_ = 0;
  std::atomic<size_t> taken_ = 0;
  boost::asio::thread_pool pool_{1};
};

}  // namespace pondpilot::proxy::http
