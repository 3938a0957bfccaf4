#include "worker/flight/handed_socket.h"

#include <grpcpp/security/server_credentials.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace pondpilot::worker::flight {
namespace {

using std::chrono::milliseconds;

// Results come in messages of megabytes; the kernel's own default is a fifth of one, and gives at most what
// its limit allows.
constexpr int kSendBuffer = 4 << 20;
// When the process is out of descriptors.
constexpr int kAcceptPauseMs = 100;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) (void)::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }
  int Release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

bool Listens(int socket) {
  int value = 0;
  socklen_t size = sizeof(value);
  return ::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value == 1;
}

// The descriptor that came with the next byte; -1 when none did.
int Receive(int connection) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(connection, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1) return -1;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return -1;
  }
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(header), sizeof(int));
  return descriptor;
}

}  // namespace

std::unique_ptr<HandedSocket> HandedSocket::Ask(const std::string& path, milliseconds timeout) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) return nullptr;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const Descriptor connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connection.get() < 0 ||
      ::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return nullptr;
  }
  pollfd answer{connection.get(), POLLIN, 0};
  if (::poll(&answer, 1, static_cast<int>(timeout.count())) != 1) return nullptr;
  Descriptor listening(Receive(connection.get()));
  if (listening.get() < 0 || !Listens(listening.get())) return nullptr;
  std::unique_ptr<HandedSocket> socket(new HandedSocket(listening.Release()));
  socket->stop_ = ::eventfd(0, EFD_CLOEXEC);
  return socket->stop_ < 0 ? nullptr : std::move(socket);
}

HandedSocket::~HandedSocket() {
  Stop();
  (void)::close(listening_);
  if (stop_ >= 0) (void)::close(stop_);
}

void HandedSocket::AttachTo(grpc::ServerBuilder& builder) {
  server_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
}

void HandedSocket::Start() { thread_ = std::thread(&HandedSocket::Accept, this); }

void HandedSocket::Stop() {
  if (!thread_.joinable()) return;
  (void)::eventfd_write(stop_, 1);
  thread_.join();
}

void HandedSocket::Accept() {
  std::array<pollfd, 2> wait{pollfd{listening_, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
  while (true) {
    if (::poll(wait.data(), wait.size(), -1) < 0) continue;
    if (wait[1].revents != 0) return;
    const int connection = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) {
      (void)::poll(&wait[1], 1, kAcceptPauseMs);
      continue;
    }
    (void)::setsockopt(connection, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.listener_fd = listening_;
    parameters.fd = connection;
    server_->HandleNewConnection(&parameters);
  }
}

}  // namespace pondpilot::worker::flight
