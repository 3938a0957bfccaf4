#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/http/problem.h"
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
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  // False when the connection is to be closed.
  boost::asio::awaitable<bool> ServeOne();
  // Reads a request's headers. False when the connection is to be closed.
  boost::asio::awaitable<bool> ReadHeaders(Parser& parser);
  // Gives the body the limits of its route; an error when its length is above them.
  boost::beast::error_code LimitBody(Parser& parser);
  // Returns once the client has closed the connection. Keeps what it sends meanwhile for the next request.
  boost::asio::awaitable<void> AwaitClientGone();
  boost::asio::awaitable<bool> Answer(const Response& response, const std::string& request_id,
                                      unsigned version, bool head, bool keep_alive);
  boost::asio::awaitable<bool> AnswerStream(const Response& response, const std::string& request_id,
                                            bool head, bool keep_alive);
  boost::asio::awaitable<void> Refuse(boost::beast::error_code error);
  boost::asio::awaitable<void> Refuse(Problem problem);
  void Tell(std::string_view path, unsigned status, std::chrono::steady_clock::time_point since,
            uint64_t received) const;
  // The address of who has sent it: of the connection, or of whom a trusted proxy names.
  std::string ClientOf(const Request& request) const;
  // Ends the connection so that the client gets the answer that was sent to it.
  boost::asio::awaitable<void> Linger();

  std::shared_ptr<Server> server_;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  std::string peer_address_;
  size_t body_limit_ = 0;    // of the request that is being read
  uint64_t body_bytes_ = 0;  // of the answer that is being sent
  bool idle_ = true;
  bool refused_ = false;
};

}  // namespace pondpilot::proxy::http
