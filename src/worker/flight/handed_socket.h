#pragma once

#include <grpcpp/server_builder.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/unix_socket.h"

namespace pondpilot::worker::flight {

// The listening socket that a worker is given by its proxy (contract::kSocketEnv, kSocketDescriptorEnv), and
// the thread that accepts on it.
class HandedSocket {
 public:
  // nullptr when nobody answers at `path` or gives a listening socket within `timeout`.
  static std::unique_ptr<HandedSocket> Ask(const std::string& path, std::chrono::milliseconds timeout);
  // Takes over a descriptor that was inherited; nullptr when it is no listening socket.
  static std::unique_ptr<HandedSocket> Take(base::Descriptor listening);
  ~HandedSocket();
  HandedSocket(const HandedSocket&) = delete;
  HandedSocket& operator=(const HandedSocket&) = delete;

  // While the server is being built: it will serve this socket's connections.
  void AttachTo(grpc::ServerBuilder& builder);
  // When the server has been built.
  void Start();
  // Before the server ends: nothing is accepted any more. Idempotent.
  void Stop();

 private:
  HandedSocket(base::Descriptor listening, base::Descriptor stop)
      : listening_(std::move(listening)), stop_(std::move(stop)) {}
  void Accept();

  const base::Descriptor listening_;
  const base::Descriptor stop_;  // an eventfd
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server_;
  std::thread thread_;
};

}  // namespace pondpilot::worker::flight
