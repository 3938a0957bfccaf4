#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/unix_socket.h"

namespace pondpilot::proxy::launch {

// A Unix socket that the proxy makes and listens on in a worker's place, until the worker asks for it: by
// connecting, whereupon it is given the listening socket itself (SCM_RIGHTS). So a worker needs no right to
// write where the socket is, and can neither remove it nor put anything in its place.
class WorkerSocket {
 public:
  // Listens at `path`, which must not exist yet. Every user who can see the folder may connect.
  static base::Result<std::shared_ptr<WorkerSocket>> Listen(std::string path);

  // One at `path` that an earlier run of the proxy has handed over to a worker that still accepts there;
  // null: nobody does.
  static std::shared_ptr<WorkerSocket> HandedOver(std::string path);

  const std::string& path() const { return path_; }

  // Waits for the worker and gives it the socket; false when it has not asked after `timeout`. From then on
  // it is the worker that accepts at `path`, and there is nothing more to wait for. May be cancelled. Not for
  // two callers at once.
  boost::asio::awaitable<bool> HandOver(std::chrono::milliseconds timeout);

 private:
  WorkerSocket(std::string path, base::Descriptor listening)
      : path_(std::move(path)), listening_(std::move(listening)) {}

  const std::string path_;
  base::Descriptor listening_;  // none when it has been handed over
};

}  // namespace pondpilot::proxy::launch
