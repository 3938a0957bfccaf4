#include "worker/engine/reachability.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <utility>

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;
using Clock = std::chrono::steady_clock;

constexpr char kSilent[] = "its host does not answer";

class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int get() const { return descriptor_; }

  // False when nothing came of it until `end`.
  bool Await(int16_t events, Clock::time_point end) const {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
      if (left <= 0) return false;
      pollfd wait{descriptor_, events, 0};
      const int ready = ::poll(&wait, 1, static_cast<int>(left));
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return false;
    }
  }

 private:
  int descriptor_;
};

Result<void> Ask(const addrinfo& address, Clock::time_point end) {
  const Socket socket(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return Fail(ErrorCode::kUnavailable, "the connection could not be made");
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno == EINPROGRESS && !socket.Await(POLLOUT, end)) return Fail(ErrorCode::kUnavailable, kSilent);
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == ECONNREFUSED) return Fail(ErrorCode::kUnavailable, "nothing listens at its address");
    if (error != 0) return Fail(ErrorCode::kUnavailable, kSilent);
  }
  // Length 8, then the code 80877103, both big-endian.
  constexpr std::array<unsigned char, 8> kSslRequest = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
  if (::send(socket.get(), kSslRequest.data(), kSslRequest.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(kSslRequest.size()) ||
      !socket.Await(POLLIN, end)) {
    return Fail(ErrorCode::kUnavailable, kSilent);
  }
  char answer = 0;
  if (::recv(socket.get(), &answer, 1, 0) == 1) return {};
  return Fail(ErrorCode::kUnavailable, "what listens at its address ends the connection");
}

}  // namespace

Result<void> CheckPostgresAnswers(const std::string& host, uint16_t port, std::chrono::milliseconds limit) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0 || found == nullptr) {
    return Fail(ErrorCode::kUnavailable, "its host name is not known here");
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  Result<void> last = Fail(ErrorCode::kUnavailable, kSilent);
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    last = Ask(*address, Clock::now() + limit);
    if (last) break;
  }
  return last;
}

}  // namespace pondpilot::worker::engine
