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
  Request request;  // without its span
  unsigned version = 11;
  bool keep_alive = false;
  const Route* route = nullptr;  // nullptr when there is none of its method and path
  BodyPool::Share share;         // of what large bodies may take together; while the request lives
};

// A request that was not read to its end.
struct Unread {
  // What its client is told; nothing when the connection broke or its time was up, and nobody is there.
  std::optional<Response> answer = {};
  std::string code = {};  // for the log
  std::string request_id = {};
  std::string path = {};  // empty when it was not read
};

// Reads the requests of one connection, one after the other.
class RequestReader {
 public:
  // All but `peer_address` must outlive it. What `buffer` holds is read first, and what is behind the request
  // stays there.
  RequestReader(Server& server, boost::beast::tcp_stream& stream, boost::beast::flat_buffer& buffer,
                std::string peer_address)
      : server_(server), stream_(stream), buffer_(buffer), peer_address_(std::move(peer_address)) {}

  boost::asio::awaitable<std::expected<Incoming, Unread>> Read();

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  boost::asio::awaitable<boost::beast::error_code> ReadHead(Parser& parser);
  // Finds the route and gives the body its limits; an error when its length is above them.
  boost::beast::error_code LimitBody(Parser& parser);
  // Reads the body. What keeps it from being read, if anything does.
  boost::asio::awaitable<std::optional<Unread>> ReadBody(Parser& parser, BodyPool::Share& share);
  // Asks the route's gate; a refusal, or nothing.
  std::optional<Unread> AskGate(const Parser& parser);
  // All of a request but its body.
  Request HeadOf(const boost::beast::http::request_header<>& head) const;
  // The address of who has sent it: of the connection, or of whom a trusted proxy names.
  std::string ClientOf(const boost::beast::http::fields& headers) const;
  Unread ToUnread(boost::beast::error_code error) const;

  Server& server_;
  boost::beast::tcp_stream& stream_;
  boost::beast::flat_buffer& buffer_;
  const std::string peer_address_;
  // Of the request that is being read:
  const Route* route_ = nullptr;
  size_t body_limit_ = 0;
};

}  // namespace pondpilot::proxy::http
