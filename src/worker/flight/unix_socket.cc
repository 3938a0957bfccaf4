#include "worker/flight/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace pondpilot::worker::flight {

bool CanMakeSocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  (void)::unlink(path.c_str());
  const bool bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  // Not listened on: the proxy would take it for the server.
  (void)::close(socket);
  if (bound) (void)::unlink(path.c_str());
  return bound;
}

bool OpenSocketToProxy(const std::string& path) {
  return ::chmod(path.c_str(), S_IRWXU | S_IRWXG | S_IRWXO) == 0;
}

}  // namespace pondpilot::worker::flight
