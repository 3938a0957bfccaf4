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

Unread Refused(const Problem& problem) {
  std::string id = RequestIdFor("");
  Response answer = ToResponse(problem, id);
  return {.answer = std::move(answer), .code = problem.code, .request_id = std::move(id)};
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
  const auto& head = parser.get();
  const std::string_view target(head.target().data(), head.target().size());
  const std::string method(head.method_string());
  route_ = server_.router_.Find(method, target.substr(0, target.find('?')));
  const ServerLimits& limits = server_.limits_;
  if (route_ == nullptr || !route_->body_gate) {
    body_limit_ = std::min(limits.small_body_bytes, limits.body_bytes);
  } else {
    body_limit_ = route_->body_bytes != 0 ? route_->body_bytes : limits.body_bytes;
  }
  parser.body_limit(body_limit_);
  const auto announced = parser.content_length();
  return announced && *announced > body_limit_ ? bhttp::error::body_limit : beast::error_code();
}

asio::awaitable<std::expected<Incoming, Unread>> RequestReader::Read() {
  Parser parser;
  // A refusal of what has headers can be read by the page that they come from.
  const auto readable = [&](Unread unread) {
    const auto origin = parser.get()[bhttp::field::origin];
    if (unread.answer) server_.router_.AddCorsHeaders({origin.data(), origin.size()}, *unread.answer);
    return std::unexpected(std::move(unread));
  };
  const boost::system::error_code error = co_await ReadHead(parser);
  if (error) co_return readable(ToUnread(error));
  BodyPool::Share share(route_ != nullptr && route_->body_pool ? route_->body_pool : server_.bodies_);
  auto unread = co_await ReadBody(parser, share);
  if (unread) co_return readable(std::move(*unread));
  stream_.expires_never();

  auto message = parser.release();
  Incoming incoming{.request = HeadOf(message),
                    .version = message.version(),
                    .keep_alive = message.keep_alive(),
                    .route = route_,
                    .share = std::move(share)};
  incoming.request.body = std::move(message.body());
  incoming.request.headers = std::move(static_cast<bhttp::fields&>(message.base()));
  co_return incoming;
}

asio::awaitable<std::optional<Unread>> RequestReader::ReadBody(Parser& parser, BodyPool::Share& share) {
  boost::system::error_code error;
  const size_t small = server_.limits_.small_body_bytes;
  // Asked as early as can be: what is announced to be large need not come first.
  const auto announced = parser.content_length();
  const size_t asked_at =
      announced && *announced > small && route_ != nullptr ? route_->gate_bytes : small + 1;
  bool asked = false;
  if (asked_at == 0) {
    asked = true;
    if (auto refused = AskGate(parser)) co_return refused;
  }
  if (beast::iequals(parser.get()[bhttp::field::expect], "100-continue")) {
    bhttp::response<bhttp::empty_body> go_on(bhttp::status::continue_, 11);
    co_await bhttp::async_write(stream_, go_on, asio::redirect_error(asio::use_awaitable, error));
  }
  while (!parser.is_done() && !error) {
    co_await bhttp::async_read_some(stream_, buffer_, parser,
                                    asio::redirect_error(asio::use_awaitable, error));
    const size_t read = parser.get().body().size();
    if (!asked && read >= asked_at) {
      asked = true;
      if (auto refused = AskGate(parser)) co_return refused;
    }
    if (read <= small || share.GrowTo(read)) continue;
    co_return Refused({503, "too_busy", "Too many large requests at the same time",
                       "The proxy is reading as much as it has memory for. Try again in a second.",
                       std::chrono::seconds(1)});
  }
  if (error) co_return ToUnread(error);
  co_return std::nullopt;
}

std::optional<Unread> RequestReader::AskGate(const Parser& parser) {
  Request head = HeadOf(parser.get());
  head.headers = parser.get().base();
  auto refusal = route_->body_gate(head, parser.get().body());
  if (refusal) {
    return Unread{.answer = std::move(refusal),
                  .code = "body_refused",
                  .request_id = std::move(head.request_id),
                  .path = std::move(head.path)};
  }
  if (route_->body_wait.count() != 0) stream_.expires_after(route_->body_wait);
  return std::nullopt;
}

Request RequestReader::HeadOf(const bhttp::request_header<>& head) const {
  Request request;
  request.method = std::string(head.method_string());
  const std::string_view target(head.target().data(), head.target().size());
  const size_t question = target.find('?');
  request.path = std::string(target.substr(0, question));
  if (question != std::string_view::npos) request.query = std::string(target.substr(question + 1));
  request.peer_address = ClientOf(head);
  const auto id = head.find("X-Request-Id");
  request.request_id = RequestIdFor(
      id == head.end() ? std::string_view() : std::string_view(id->value().data(), id->value().size()));
  return request;
}

std::string RequestReader::ClientOf(const bhttp::fields& headers) const {
  const base::TrustedProxies& trusted = server_.extras_.trusted;
  if (trusted.none()) return peer_address_;
  std::string forwarded;  // a header that comes several times is one list
  const auto [first, last] = headers.equal_range("X-Forwarded-For");
  for (auto header = first; header != last; ++header) {
    if (!forwarded.empty()) forwarded += ',';
    forwarded += std::string_view(header->value().data(), header->value().size());
  }
  return trusted.ClientOf(peer_address_, forwarded);
}

Unread RequestReader::ToUnread(beast::error_code error) const {
  if (error == bhttp::error::body_limit) {
    return Refused({413,
                    "body_too_large",
                    "The body is too large",
                    "A body may have up to " + std::to_string(body_limit_) + " bytes here.",
                    {}});
  }
  if (error == bhttp::error::header_limit) {
    return Refused(
        {431,
         "headers_too_large",
         "The headers are too large",
         "The headers may have up to " + std::to_string(server_.limits_.header_bytes) + " bytes together.",
         {}});
  }
  const bool broken = error.category() != bhttp::make_error_code(bhttp::error::bad_method).category();
  if (broken || error == bhttp::error::end_of_stream || error == bhttp::error::partial_message) {
    return {};
  }
  return Refused({400,
                  "malformed_request",
                  "The request is not HTTP/1.1",
                  "The request could not be read as HTTP/1.1.",
                  {}});
}

}  // namespace pondpilot::proxy::http
