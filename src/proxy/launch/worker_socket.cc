#include "proxy/launch/worker_socket.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/cancel_after.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

namespace pondpilot::proxy::launch {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using std::chrono::milliseconds;

constexpr int kBacklog = 64;

}  // namespace

base::Result<std::shared_ptr<WorkerSocket>> WorkerSocket::Listen(std::string path) {
  base::Descriptor listening = base::ListenUnix(path, kBacklog);
  // Which user the worker is, is not the proxy's to know.
  if (!listening.valid() || ::chmod(path.c_str(), S_IRWXU | S_IRWXG | S_IRWXO) != 0) {
    return base::Fail(base::ErrorCode::kUnavailable, "A socket for a worker can't be made at " + path + ".",
                      std::generic_category().message(errno));
  }
  return std::shared_ptr<WorkerSocket>(new WorkerSocket(std::move(path), std::move(listening)));
}

std::shared_ptr<WorkerSocket> WorkerSocket::HandedOver(std::string path) {
  if (!base::ConnectUnix(path).valid()) return nullptr;
  return std::shared_ptr<WorkerSocket>(new WorkerSocket(std::move(path), base::Descriptor()));
}

asio::awaitable<bool> WorkerSocket::HandOver(milliseconds timeout) {
  if (!listening_.valid()) co_return true;
  const auto end = std::chrono::steady_clock::now() + timeout;
  // The acceptor owns a descriptor of its own, so that a cancelled wait leaves ours.
  const int copy = ::fcntl(listening_.get(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) co_return false;
  stream_protocol::acceptor acceptor(co_await asio::this_coro::executor);
  boost::system::error_code failed;
  acceptor.assign(stream_protocol(), copy, failed);
  if (failed) {
    (void)::close(copy);
    co_return false;
  }
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return false;
    stream_protocol::socket connection = co_await acceptor.async_accept(
        asio::cancel_after(left, asio::redirect_error(asio::use_awaitable, failed)));
    if (failed) co_return false;
    // One that has gone again is no reason not to wait for the next.
    if (!base::SendDescriptor(connection.native_handle(), listening_.get())) continue;
    listening_.Close();
    co_return true;
  }
}

}  // namespace pondpilot::proxy::launch
