#include "worker/engine/tcp_forwarder.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

namespace pondpilot::worker::engine {
namespace {

sockaddr_in Address(const std::string& host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + host);
  }
  return address;
}

void CloseIfOpen(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

}  // namespace

TcpForwarder::TcpForwarder(std::string host, uint16_t port) : host_(std::move(host)), port_(port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // Bound but not listening: the port is ours, and connections to it are refused.
  sockaddr_in address = Address("127.0.0.1", 0);
  socklen_t size = sizeof(address);
  if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 || ::pipe(wake_) != 0) {
    throw std::runtime_error("no port for the test");
  }
  own_port_ = ntohs(address.sin_port);
}

TcpForwarder::~TcpForwarder() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  (void)!::write(wake_[1], "x", 1);
  if (thread_.joinable()) thread_.join();
  for (Pair& pair : pairs_) {
    CloseIfOpen(pair.client);
    CloseIfOpen(pair.server);
  }
  CloseIfOpen(listener_);
  CloseIfOpen(wake_[0]);
  CloseIfOpen(wake_[1]);
}

void TcpForwarder::Listen() {
  if (::listen(listener_, 16) != 0) throw std::runtime_error("listen failed");
  thread_ = std::thread(&TcpForwarder::Loop, this);
}

void TcpForwarder::FallSilent() {
  const std::lock_guard lock(mutex_);
  silent_ = true;
}

int TcpForwarder::EndedByClient() const {
  const std::lock_guard lock(mutex_);
  return ended_by_client_;
}

void TcpForwarder::Accept() {
  Pair pair;
  pair.client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (pair.client < 0) return;
  if (port_ != 0) {
    const sockaddr_in address = Address(host_, port_);
    pair.server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(pair.server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      CloseIfOpen(pair.client);
      CloseIfOpen(pair.server);
      return;
    }
  }
  pairs_.push_back(pair);
}

void TcpForwarder::Pump(Pair& pair, bool from_client) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::recv(from_client ? pair.client : pair.server, buffer.data(), buffer.size(), 0);
  bool silent = false;
  {
    const std::lock_guard lock(mutex_);
    silent = silent_;
    if (got <= 0 && from_client) ++ended_by_client_;
  }
  if (got <= 0) {
    pair.ended = true;
    return;
  }
  const int to = from_client ? pair.server : pair.client;
  if (silent || to < 0) return;  // swallowed
  for (ssize_t sent = 0; sent < got;) {
    const ssize_t n = ::send(to, buffer.data() + sent, static_cast<size_t>(got - sent), MSG_NOSIGNAL);
    if (n <= 0) {
      pair.ended = true;
      return;
    }
    sent += n;
  }
}

void TcpForwarder::Loop() {
  for (;;) {
    std::vector<pollfd> polled = {{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const Pair& pair : pairs_) {
      polled.push_back({pair.client, POLLIN, 0});
      polled.push_back({pair.server, POLLIN, 0});  // poll ignores negative ones
    }
    if (::poll(polled.data(), polled.size(), -1) < 0) return;
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    for (size_t i = 0; i < pairs_.size(); ++i) {
      if (polled[2 + 2 * i].revents != 0) Pump(pairs_[i], true);
      if (!pairs_[i].ended && polled[3 + 2 * i].revents != 0) Pump(pairs_[i], false);
    }
    if (polled[1].revents != 0) Accept();
    std::erase_if(pairs_, [](Pair& pair) {
      if (!pair.ended) return false;
      CloseIfOpen(pair.client);
      CloseIfOpen(pair.server);
      return true;
    });
  }
}

}  // namespace pondpilot::worker::engine
