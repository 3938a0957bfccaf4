#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "proxy/access/gate.h"
#include "proxy/fleet/control_queue.h"
#include "proxy/fleet/fleet.h"
#include "proxy/http/message.h"
#include "proxy/quack/connections.h"

namespace pondpilot::proxy::quack {

struct QuackServices {
  const access::Gate* gate = nullptr;
  std::shared_ptr<fleet::Fleet> fleet;
  const base::Clock* clock = nullptr;  // must outlive the routes
  // While it is true no new work is taken.
  std::shared_ptr<const std::atomic<bool>> draining;
  // The longest that a request waits for its worker; may change.
  std::shared_ptr<const std::atomic<std::chrono::milliseconds>> worker_wait;
};

// Takes clients' Quack messages, one in each request. A CONNECTION_REQUEST, which carries the client's token,
// is answered here; what comes later under the id that it was given goes on to the caller's worker, unread,
// and the answer comes back as it is. Failures are answers of status 200 with an ERROR message: a browser
// shows DuckDB nothing of others. On one thread, the fleet's executor's.
class QuackDoor {
 public:
  explicit QuackDoor(QuackServices services);

  boost::asio::awaitable<http::Response> Handle(const http::Request& request);

  // An http::BodyGate that looks at kGateBytes: large messages are read of connections that there are, and of
  // clients that want one as far as the longest token goes.
  std::optional<http::Response> RefuseBody(const http::Request& head, std::string_view begin);
  static constexpr size_t kGateBytes = 64;  // a header has less

 private:
  boost::asio::awaitable<http::Response> Connect(const http::Request& request, std::string_view body);
  boost::asio::awaitable<http::Response> Forward(const http::Request& request,
                                                 std::shared_ptr<Connection> connection, wire::Type type);
  // The answer to a message under an id that is none.
  static http::Response RefuseUnknown(const http::Request& request);
  // Refuses what must not go on; nullopt when it may.
  std::optional<base::Error> Check(Connection& connection, wire::Type type) const;
  std::optional<base::Error> CheckToken(const Connection& connection, wire::Type type) const;

  const QuackServices services_;
  const std::shared_ptr<fleet::ControlQueue> queue_ = std::make_shared<fleet::ControlQueue>();
  Connections connections_;
};

}  // namespace pondpilot::proxy::quack
