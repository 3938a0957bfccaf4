#include "proxy/http/server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>
#include <vector>

#include "proxy/http/session.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::http {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {
constexpr std::chrono::seconds kCloseWait(5);
}  // namespace

Server::Server(asio::any_io_executor executor, const Router& router, ServerLimits limits, ServerExtras extras)
    : executor_(executor),
      acceptor_(executor),
      router_(router),
      limits_(limits),
      extras_(std::move(extras)),
      bodies_(std::make_shared<BodyPool>(limits.all_bodies_bytes)) {}

base::Result<std::shared_ptr<Server>> Server::Start(asio::any_io_executor executor, const std::string& host,
                                                    uint16_t port, const Router& router, ServerLimits limits,
                                                    ServerExtras extras) {
  std::shared_ptr<Server> server(new Server(executor, router, limits, std::move(extras)));
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error) {
    return base::Fail(base::ErrorCode::kInvalidArgument,
                      "server.host \"" + host + "\" is not an IP address; 0.0.0.0 listens on all of them.");
  }
  const tcp::endpoint endpoint(address, port);
  server->acceptor_.open(endpoint.protocol(), error);
  if (!error) server->acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) server->acceptor_.bind(endpoint, error);
  if (!error) server->acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return base::Fail(base::ErrorCode::kUnavailable,
                      "The HTTP port " + host + ":" + std::to_string(port) +
                          " can't be opened: " + error.message() +
                          ". Set server.port (PORT) to a free port or end the process that holds it.");
  }
  server->port_ = server->acceptor_.local_endpoint().port();
  asio::co_spawn(
      executor, [server]() -> asio::awaitable<void> { co_await server->Accept(); }, asio::detached);
  return server;
}

asio::awaitable<void> Server::Accept() {
  asio::steady_timer pause(executor_);
  while (!stopping_) {
    boost::system::error_code error;
    tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (stopping_) co_return;
    if (error) {
      // Out of file descriptors, most likely: give sessions a moment to end instead of spinning.
      pause.expires_after(std::chrono::milliseconds(50));
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    if (sessions_.size() >= limits_.connections) continue;  // closes the socket: a bound, not a service
    asio::co_spawn(
        executor_,
        [session = std::make_shared<Session>(
             shared_from_this(), std::move(socket))]() -> asio::awaitable<void> { co_await session->Run(); },
        asio::detached);
  }
}

asio::awaitable<void> Server::Stop(std::chrono::milliseconds grace) {
  stopping_ = true;
  boost::system::error_code error;
  acceptor_.close(error);
  const auto deadline = std::chrono::steady_clock::now() + grace;
  asio::steady_timer tick(executor_);
  while (!sessions_.empty()) {
    const bool late = std::chrono::steady_clock::now() >= deadline;
    for (Session* session : std::vector<Session*>(sessions_.begin(), sessions_.end())) {
      if (late || session->idle()) session->Close();
    }
    // What is closed ends at once; the second deadline is for a handler that can't be cancelled.
    if (std::chrono::steady_clock::now() >= deadline + kCloseWait) {
      telemetry::Log(telemetry::Level::kWarn, "HTTP sessions did not end", {{"sessions", sessions_.size()}});
      co_return;
    }
    tick.expires_after(std::chrono::milliseconds(20));
    co_await tick.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

}  // namespace pondpilot::proxy::http
