#include "worker/flight/handed_socket.h"

#include <fcntl.h>
#include <grpcpp/security/server_credentials.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <utility>

namespace pondpilot::worker::flight {
namespace {

using std::chrono::milliseconds;

// Results come in messages of megabytes; the kernel's own default is a fifth of one, and gives at most what
// its limit allows.
constexpr int kSendBuffer = 4 << 20;
// When the process is out of descriptors.
constexpr int kAcceptPauseMs = 100;

bool Listens(int socket) {
  int value = 0;
  socklen_t size = sizeof(value);
  return ::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value == 1;
}

}  // namespace

std::unique_ptr<HandedSocket> HandedSocket::Ask(const std::string& path, milliseconds timeout) {
  const base::Descriptor connection = base::ConnectUnix(path);
  if (!connection.valid()) return nullptr;
  pollfd answer{connection.get(), POLLIN, 0};
  if (::poll(&answer, 1, static_cast<int>(timeout.count())) != 1) return nullptr;
  return Take(base::ReceiveDescriptor(connection.get()));
}

std::unique_ptr<HandedSocket> HandedSocket::Take(base::Descriptor listening) {
  base::Descriptor stop(::eventfd(0, EFD_CLOEXEC));
  if (!listening.valid() || !Listens(listening.get()) || !stop.valid()) return nullptr;
  (void)::fcntl(listening.get(), F_SETFD, FD_CLOEXEC);
  return std::unique_ptr<HandedSocket>(new HandedSocket(std::move(listening), std::move(stop)));
}

HandedSocket::~HandedSocket() { Stop(); }

void HandedSocket::AttachTo(grpc::ServerBuilder& builder) {
  server_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
}

void HandedSocket::Start() { thread_ = std::thread(&HandedSocket::Accept, this); }

void HandedSocket::Stop() {
  if (!thread_.joinable()) return;
  (void)::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void HandedSocket::Accept() {
  std::array<pollfd, 2> wait{pollfd{listening_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
  while (true) {
    if (::poll(wait.data(), wait.size(), -1) < 0) continue;
    if (wait[1].revents != 0) return;
    const int connection = ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) {
      (void)::poll(&wait[1], 1, kAcceptPauseMs);
      continue;
    }
    (void)::setsockopt(connection, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.listener_fd = listening_.get();
    parameters.fd = connection;
    server_->HandleNewConnection(&parameters);
  }
}

}  // namespace pondpilot::worker::flight
