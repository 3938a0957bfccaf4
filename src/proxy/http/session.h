#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/http/answer_writer.h"
#include "proxy/http/request_reader.h"
#include "proxy/http/server.h"

namespace pondpilot::proxy::http {

// One connection: requests one after the other until either side ends it. Runs on the server's executor.
class Session {
 public:
  Session(std::shared_ptr<Server> server, boost::asio::ip::tcp::socket socket);
  ~Session();

  boost::asio::awaitable<void> Run();

  bool idle() const { return idle_; }
  void Close();

 private:
  // False when the connection is to be closed.
  boost::asio::awaitable<bool> ServeOne();
  // Returns once the client has closed the connection. Keeps what it sends meanwhile for the next request.
  boost::asio::awaitable<void> AwaitClientGone();
  // Answers what was not read to its end: the connection ends here.
  boost::asio::awaitable<void> Refuse(Unread unread);
  void Tell(const Served& served) const;
  void BeginSpan(Request& request) const;
  // The traceparent that a request brings, when it comes from somebody who may say what is exported.
  std::string_view BelievedTraceParent(const Request& request) const;
  // Ends the connection so that the client gets the answer that was sent to it.
  boost::asio::awaitable<void> Linger();

  std::shared_ptr<Server> server_;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  const std::string peer_address_;
  RequestReader reader_;
  AnswerWriter writer_;
  bool idle_ = true;
  bool refused_ = false;
};

}  // namespace pondpilot::proxy::http
