#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http/body_pool.h"
#include "proxy/http/problem.h"
#include "proxy/http/server.h"

namespace pondpilot::proxy::http {

// A request that has arrived whole.
struct Incoming {
  Request request;  // without its id, its client and its span
  unsigned version = 11;
  bool keep_alive = false;
  BodyPool::Share share;  // of what bodies together may take; while the request lives
};

// Reads the requests of one connection, one after the other.
class RequestReader {
 public:
  // What its client is told instead; nothing when the connection broke or its time was up: then nobody is
  // there to be told.
  using Unread = std::optional<Problem>;

  // `server`, `stream` and `buffer` must outlive it. What `buffer` holds is read first, and what is behind
  // the request stays there.
  RequestReader(Server& server, boost::beast::tcp_stream& stream, boost::beast::flat_buffer& buffer)
      : server_(server), stream_(stream), buffer_(buffer) {}

  boost::asio::awaitable<std::expected<Incoming, Unread>> Read();

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  boost::asio::awaitable<boost::beast::error_code> ReadHead(Parser& parser);
  // Gives the body the limits of its route; an error when its length is above them.
  boost::beast::error_code LimitBody(Parser& parser);
  Unread ToUnread(boost::beast::error_code error) const;

  Server& server_;
  boost::beast::tcp_stream& stream_;
  boost::beast::flat_buffer& buffer_;
  size_t body_limit_ = 0;  // of the request that is being read
};

}  // namespace pondpilot::proxy::http
