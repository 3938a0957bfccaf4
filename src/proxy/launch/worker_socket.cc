#include "proxy/launch/worker_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

namespace pondpilot::proxy::launch {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using std::chrono::milliseconds;

constexpr int kBacklog = 64;

std::unexpected<base::Error> Failure(const std::string& path, int error) {
  return base::Fail(base::ErrorCode::kUnavailable, "A socket for a worker can't be made at " + path + ".",
                    std::generic_category().message(error));
}

// One byte and the descriptor with it. The connection is new: it takes that without waiting.
bool Give(int connection, int descriptor) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  return ::sendmsg(connection, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

}  // namespace

base::Result<std::shared_ptr<WorkerSocket>> WorkerSocket::Listen(std::string path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Failure(path, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int listening = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listening < 0) return Failure(path, errno);
  std::shared_ptr<WorkerSocket> socket(new WorkerSocket(std::move(path), listening));
  if (::bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::chmod(socket->path_.c_str(), S_IRWXU | S_IRWXG | S_IRWXO) != 0 ||
      ::listen(listening, kBacklog) != 0) {
    return Failure(socket->path_, errno);
  }
  return socket;
}

WorkerSocket::~WorkerSocket() {
  if (listening_ >= 0) (void)::close(listening_);
}

asio::awaitable<bool> WorkerSocket::HandOver(milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  // The acceptor owns a descriptor of its own, so that a cancelled wait leaves ours.
  const int copy = ::fcntl(listening_, F_DUPFD_CLOEXEC, 0);
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
    if (!Give(connection.native_handle(), listening_)) continue;
    (void)::close(std::exchange(listening_, -1));
    co_return true;
  }
}

}  // namespace pondpilot::proxy::launch
