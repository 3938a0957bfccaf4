#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/error.h"
#include "base/networks.h"
#include "proxy/http/body_pool.h"
#include "proxy/http/router.h"
#include "telemetry/span.h"

namespace pondpilot::proxy::http {

struct ServerLimits {
  size_t header_bytes = 96 << 10;  // big tokens fit
  // A body up to this is always taken, whoever sends it; one that is larger where its route's gate lets it in
  // (Route::body_gate), and counts in a pool.
  size_t small_body_bytes = 64 << 10;
  size_t body_bytes = 1 << 20;
  size_t all_bodies_bytes = 64 << 20;  // of large ones that are being read or answered
  size_t connections = 10'000;
  std::chrono::milliseconds request_wait{
      std::chrono::seconds(15)};                                   // from a request's first byte to its last
  std::chrono::milliseconds idle_wait{std::chrono::seconds(75)};   // between requests of one connection
  std::chrono::milliseconds write_wait{std::chrono::seconds(60)};  // for one piece of an answer
};

// A request that was answered, or refused, or whose client left.
struct Served {
  std::string_view route;  // a route's path, or kOtherRoute
  unsigned status = 0;
  std::chrono::nanoseconds took{0};  // from the end of its headers and body to the end of the answer
  uint64_t bytes = 0;                // of the answer's body
  uint64_t received = 0;             // of the request's body
};

// Is told of each request. On the server's executor.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void Ended(const Served& served) = 0;
};

// What a server works with besides its routes.
struct ServerExtras {
  Observer* observer = nullptr;         // nobody wants to know when it is null
  telemetry::Tracer* tracer = nullptr;  // no spans when it is null
  base::TrustedProxies trusted = {};
  // Whether a request has a caller's token: then its traceparent is believed, as is what comes from trusted
  // proxies. nullptr: only theirs is.
  std::function<bool(const Request&)> is_callers = {};
};

class Session;

// An HTTP/1.1 server on one executor, which must run on a single thread: sessions share no locks.
class Server : public std::enable_shared_from_this<Server> {
 public:
  // Binds `host`:`port` (0: any free one). `router` and what `extras` points to must outlive the server.
  static base::Result<std::shared_ptr<Server>> Start(boost::asio::any_io_executor executor,
                                                     const std::string& host, uint16_t port,
                                                     const Router& router, ServerLimits limits = {},
                                                     ServerExtras extras = {});

  uint16_t port() const { return port_; }

  // Takes no new connections, ends the idle ones, gives the others until `grace`, then closes them. Returns
  // when all have ended. On the executor.
  boost::asio::awaitable<void> Stop(std::chrono::milliseconds grace);

 private:
  friend class Session;
  friend class RequestReader;
  Server(boost::asio::any_io_executor executor, const Router& router, ServerLimits limits,
         ServerExtras extras);
  boost::asio::awaitable<void> Accept();

  boost::asio::any_io_executor executor_;
  boost::asio::ip::tcp::acceptor acceptor_;
  const Router& router_;
  const ServerLimits limits_;
  const ServerExtras extras_;
  uint16_t port_ = 0;
  bool stopping_ = false;
  const std::shared_ptr<BodyPool> bodies_;  // large ones, of routes without a pool of their own
  std::set<Session*> sessions_;
};

}  // namespace pondpilot::proxy::http
