#include "worker/engine/remote_sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace pondpilot::worker::engine {
namespace {

struct Socket {
  int fd = -1;
  uint16_t local_port = 0;
  uint16_t peer_port = 0;  // 0: not connected
  bool listens = false;
};

std::optional<uint16_t> PortOf(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return std::nullopt;
}

std::optional<Socket> Describe(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return std::nullopt;
  const auto local = PortOf(address);
  if (!local) return std::nullopt;
  Socket out{.fd = fd, .local_port = *local};
  int listens = 0;
  size = sizeof listens;
  out.listens = ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
  address = {};
  size = sizeof address;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0)
    out.peer_port = PortOf(address).value_or(0);
  return out;
}

std::vector<Socket> TcpSockets() {
  std::vector<Socket> sockets;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), ::closedir);
  if (!folder) return sockets;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the folder is this call's own
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    int fd = -1;
    if (std::from_chars(name.data(), name.data() + name.size(), fd).ec != std::errc()) continue;
    if (const auto socket = Describe(fd)) sockets.push_back(*socket);
  }
  return sockets;
}

// Calls `act` with each connection to one of `ports`, and returns for how many it said true.
template <typename Act>
size_t ForEachRemoteSocket(const std::set<uint16_t>& ports, Act act) {
  if (ports.empty()) return 0;
  const std::vector<Socket> sockets = TcpSockets();
  std::set<uint16_t> listening;
  for (const Socket& socket : sockets) {
    if (socket.listens) listening.insert(socket.local_port);
  }
  size_t count = 0;
  for (const Socket& socket : sockets) {
    if (!ports.contains(socket.peer_port) || listening.contains(socket.local_port)) continue;
    // The driver may have closed it meanwhile and its number may be another connection's: look once more, at
    // a number that is ours.
    const int own = ::fcntl(socket.fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) continue;
    const auto now = Describe(own);
    if (now && now->local_port == socket.local_port && now->peer_port == socket.peer_port && act(own)) {
      ++count;
    }
    ::close(own);
  }
  return count;
}

bool Set(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

// False when the socket has these bounds already.
bool Bound(int fd) {
  int unanswered = 0;
  socklen_t size = sizeof unanswered;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered, &size) != 0 || unanswered == kUnansweredMs)
    return false;
  return Set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) && Set(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds) &&
         Set(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds) &&
         Set(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes) &&
         Set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnansweredMs);
}

}  // namespace

size_t ShutDownRemoteSockets(const std::set<uint16_t>& ports) {
  return ForEachRemoteSocket(ports, [](int fd) { return ::shutdown(fd, SHUT_RDWR) == 0; });
}

size_t BoundSilence(const std::set<uint16_t>& ports) { return ForEachRemoteSocket(ports, Bound); }

}  // namespace pondpilot::worker::engine
