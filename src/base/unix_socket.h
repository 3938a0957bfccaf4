#pragma once

#include <sys/un.h>

#include <optional>
#include <string>

namespace pondpilot::base {

// A file descriptor that is closed with its owner; -1: none.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() { Close(); }
  Descriptor(Descriptor&& other) noexcept : number_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }
  // The caller closes it.
  int Release();
  void Close();

 private:
  int number_;
};

// nullopt when the path is empty or longer than a socket's path may be (unix(7)).
std::optional<sockaddr_un> UnixAddress(const std::string& path);

// A socket that listens at `path`, which must not exist yet, or that is connected to whoever listens there.
// Neither waits. Not valid on an error, which errno tells.
Descriptor ListenUnix(const std::string& path, int backlog);
Descriptor ConnectUnix(const std::string& path);

// Sends one byte and with it a descriptor (SCM_RIGHTS), which stays the caller's own as well. False when the
// connection does not take it at once.
bool SendDescriptor(int connection, int descriptor);
// The descriptor that has come with the next byte. Not valid when none is there.
Descriptor ReceiveDescriptor(int connection);

}  // namespace pondpilot::base
