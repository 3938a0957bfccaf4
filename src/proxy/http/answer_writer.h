#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "proxy/http/message.h"

namespace pondpilot::proxy::http {

// What an answer takes from its request and connection.
struct AnswerForm {
  std::string request_id;
  unsigned version = 11;  // of HTTP: 11 or 10
  bool head = false;      // without its body
  bool keep_alive = false;
};

// Writes the answers of one connection.
class AnswerWriter {
 public:
  // Returns once the client has closed the connection.
  using ClientGone = std::function<boost::asio::awaitable<void>()>;

  // `wait` is how long one piece may take. `stream` must outlive it; its socket is in non-blocking mode.
  AnswerWriter(boost::beast::tcp_stream& stream, std::chrono::milliseconds wait, ClientGone client_gone)
      : stream_(stream), wait_(wait), client_gone_(std::move(client_gone)) {}

  // False when the connection is to be closed.
  boost::asio::awaitable<bool> Write(Response response, const AnswerForm& form);

  // Of the last answer's body, as far as it was sent.
  uint64_t body_bytes() const { return body_bytes_; }

 private:
  boost::asio::awaitable<bool> WriteWhole(Response response, const AnswerForm& form);
  boost::asio::awaitable<bool> WriteStream(const Response& response, const AnswerForm& form);

  boost::beast::tcp_stream& stream_;
  const std::chrono::milliseconds wait_;
  const ClientGone client_gone_;
  uint64_t body_bytes_ = 0;
};

}  // namespace pondpilot::proxy::http
