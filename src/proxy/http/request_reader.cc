#include "proxy/http/request_reader.h"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <utility>

namespace pondpilot::proxy::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;

namespace {

constexpr size_t kHeaderPiece = 8 << 10;

// A header continued on the next line: an obsolete form that servers read in different ways. `head` begins at
// a line of the headers, or at the empty line behind them.
bool HasFoldedHeader(std::string_view head) {
  const size_t end = head.starts_with("\r\n") ? 0 : head.find("\r\n\r\n");
  head = head.substr(0, end);
  return head.find("\n ") != head.npos || head.find("\n\t") != head.npos;
}

// All of a request but its body.
Request HeadOf(const bhttp::request_header<>& head) {
  Request request;
  request.method = std::string(head.method_string());
  const std::string_view target(head.target().data(), head.target().size());
  const size_t question = target.find('?');
  request.path = std::string(target.substr(0, question));
  if (question != std::string_view::npos) request.query = std::string(target.substr(question + 1));
  return request;
}

// A message with two lengths, a length and chunks, or a coding that isn't known has two meanings: the one
// thing to do is not to choose.
bool HasTwoMeanings(const bhttp::request_header<>& head) {
  const auto coding = head[bhttp::field::transfer_encoding];
  const size_t codings = head.count(bhttp::field::transfer_encoding);
  const bool bad_coding = codings > 0 && (!beast::iequals(coding, "chunked") || head.version() < 11);
  const auto length = head[bhttp::field::content_length];
  const bool listed = !std::ranges::all_of(length, [](char c) { return c >= '0' && c <= '9'; });
  return head.count(bhttp::field::content_length) + codings > 1 || bad_coding || listed;
}

}  // namespace

asio::awaitable<beast::error_code> RequestReader::ReadHead(Parser& parser) {
  boost::system::error_code error;
  parser.header_limit(static_cast<uint32_t>(server_.limits_.header_bytes));
  // Beast holds an announced length against it before the path is known here.
  parser.body_limit(server_.router_.LargestBody(server_.limits_.body_bytes));
  stream_.expires_after(server_.limits_.request_wait);
  while (!parser.is_header_done()) {
    if (HasFoldedHeader({static_cast<const char*>(buffer_.data().data()), buffer_.size()})) {
      co_return bhttp::error::bad_value;
    }
    buffer_.consume(parser.put(buffer_.data(), error));
    if (error == bhttp::error::need_more) {
      error = {};
      const size_t read = co_await stream_.async_read_some(buffer_.prepare(kHeaderPiece),
                                                           asio::redirect_error(asio::use_awaitable, error));
      buffer_.commit(read);
    }
    if (error) co_return error;
  }
  if (HasTwoMeanings(parser.get())) co_return bhttp::error::bad_content_length;
  co_return LimitBody(parser);
}

beast::error_code RequestReader::LimitBody(Parser& parser) {
  const Request head = HeadOf(parser.get());
  const Route* route = server_.router_.Find(head.method, head.path);
  body_limit_ = route != nullptr && route->body_bytes != 0 ? route->body_bytes : server_.limits_.body_bytes;
  parser.body_limit(body_limit_);
  if (route != nullptr && route->body_wait.count() != 0) stream_.expires_after(route->body_wait);
  const auto announced = parser.content_length();
  return announced && *announced > body_limit_ ? bhttp::error::body_limit : beast::error_code();
}

asio::awaitable<std::expected<Incoming, RequestReader::Unread>> RequestReader::Read() {
  Parser parser;
  boost::system::error_code error = co_await ReadHead(parser);
  if (error) co_return std::unexpected(ToUnread(error));
  BodyPool::Share share(server_.bodies_);
  if (beast::iequals(parser.get()[bhttp::field::expect], "100-continue")) {
    bhttp::response<bhttp::empty_body> go_on(bhttp::status::continue_, 11);
    co_await bhttp::async_write(stream_, go_on, asio::redirect_error(asio::use_awaitable, error));
  }
  while (!parser.is_done() && !error) {
    co_await bhttp::async_read_some(stream_, buffer_, parser,
                                    asio::redirect_error(asio::use_awaitable, error));
    if (share.GrowTo(parser.get().body().size())) continue;
    co_return std::unexpected(
        Problem{503, "too_busy", "Too many large requests at the same time",
                "The proxy is reading as much as it has memory for. Try again in a second.",
                std::chrono::seconds(1)});
  }
  if (error) co_return std::unexpected(ToUnread(error));
  stream_.expires_never();

  auto message = parser.release();
  Incoming incoming{.request = HeadOf(message), .version = message.version(),
                    .keep_alive = message.keep_alive(), .share = std::move(share)};
  incoming.request.body = std::move(message.body());
  incoming.request.headers = std::move(static_cast<bhttp::fields&>(message.base()));
  co_return incoming;
}

RequestReader::Unread RequestReader::ToUnread(beast::error_code error) const {
  if (error == bhttp::error::body_limit) {
    return Problem{413,
                   "body_too_large",
                   "The body is too large",
                   "A body may have up to " + std::to_string(body_limit_) + " bytes.",
                   {}};
  }
  if (error == bhttp::error::header_limit) {
    return Problem{
        431,
        "headers_too_large",
        "The headers are too large",
        "The headers may have up to " + std::to_string(server_.limits_.header_bytes) + " bytes together.",
        {}};
  }
  const bool broken = error.category() != bhttp::make_error_code(bhttp::error::bad_method).category();
  if (broken || error == bhttp::error::end_of_stream || error == bhttp::error::partial_message) {
    return std::nullopt;
  }
  return Problem{400,
                 "malformed_request",
                 "The request is not HTTP/1.1",
                 "The request could not be read as HTTP/1.1.",
                 {}};
}

}  // namespace pondpilot::proxy::http
