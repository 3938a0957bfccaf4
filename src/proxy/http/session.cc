#include "proxy/http/session.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>
#include <variant>

#include "proxy/http/problem.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace pondpilot::proxy::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using namespace boost::asio::experimental::awaitable_operators;

namespace {

template <typename Message>
void SetHeaders(Message& message, const Response& response, const std::string& request_id, bool keep_alive) {
  message.set(bhttp::field::server, "pondpilot-proxy");
  message.set("X-Request-Id", request_id);
  message.set("X-Content-Type-Options", "nosniff");
  message.set(bhttp::field::cache_control, "no-store");
  if (!response.content_type.empty()) message.set(bhttp::field::content_type, response.content_type);
  for (const auto& [name, value] : response.headers) message.insert(name, value);
  message.keep_alive(keep_alive);
}

class StreamWriter final : public BodyWriter {
 public:
  // `left`: of how many bytes the body is; nullopt: it is written as chunks.
  StreamWriter(beast::tcp_stream& stream, std::chrono::milliseconds wait, std::optional<uint64_t> left,
               uint64_t& bytes)
      : stream_(stream), wait_(wait), left_(left), bytes_(bytes) {}

  asio::awaitable<bool> Write(std::string piece) override {
    const Buffers buffers{asio::buffer(piece)};
    const bool written = co_await Write(buffers);
    co_return written;
  }

  asio::awaitable<bool> Write(const Buffers& piece) override {
    const size_t size = asio::buffer_size(piece);
    if (failed_ || size == 0) co_return !failed_;
    // More than was said would be read as the next answer.
    failed_ = left_ && size > *left_;
    if (failed_) co_return false;
    boost::system::error_code error;
    stream_.expires_after(wait_);
    if (left_) {
      *left_ -= size;
      co_await asio::async_write(stream_, piece, asio::redirect_error(asio::use_awaitable, error));
    } else {
      co_await asio::async_write(stream_, bhttp::make_chunk(piece),
                                 asio::redirect_error(asio::use_awaitable, error));
    }
    failed_ = static_cast<bool>(error);
    if (!failed_) bytes_ += size;
    co_return !failed_;
  }

  void Cut() override { failed_ = true; }

  asio::awaitable<bool> End() {
    if (failed_ || left_) co_return !failed_ && *left_ == 0;
    boost::system::error_code error;
    stream_.expires_after(wait_);
    co_await asio::async_write(stream_, bhttp::make_chunk_last(),
                               asio::redirect_error(asio::use_awaitable, error));
    co_return !error;
  }

 private:
  beast::tcp_stream& stream_;
  std::chrono::milliseconds wait_;
  std::optional<uint64_t> left_;
  uint64_t& bytes_;
  bool failed_ = false;
};

// A header continued on the next line: an obsolete form that servers read in different ways. `head` begins at
// a line of the headers, or at the empty line behind them.
bool HasFoldedHeader(std::string_view head) {
  const size_t end = head.starts_with("\r\n") ? 0 : head.find("\r\n\r\n");
  head = head.substr(0, end);
  return head.find("\n ") != head.npos || head.find("\n\t") != head.npos;
}

// Runs a streamed answer's producer. False when it failed.
asio::awaitable<bool> Produce(const Response& response, BodyWriter& writer, const std::string& request_id) {
  std::string failure;
  try {
    co_await response.stream(writer);
    co_return true;
  } catch (const boost::system::system_error& thrown) {
    if (thrown.code() == asio::error::operation_aborted) co_return false;  // the client is gone
    failure = thrown.what();
  } catch (const std::exception& thrown) {
    failure = thrown.what();
  } catch (...) {
    failure = "something that is not a std::exception";
  }
  telemetry::Log(telemetry::Level::kError, "HTTP answer broke off",
                 {{"request_id", request_id}, {"error", failure}});
  co_return false;
}

// A request's share of what all bodies together may take: what has arrived of it. What is only announced
// takes no memory.
class Reservation {
 public:
  explicit Reservation(uint64_t& taken) : taken_(taken) {}
  ~Reservation() { taken_ -= bytes_; }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  // False when all together have more than `limit` now.
  bool GrowTo(uint64_t bytes, uint64_t limit) {
    taken_ += bytes - bytes_;
    bytes_ = bytes;
    return taken_ <= limit;
  }

 private:
  uint64_t& taken_;
  uint64_t bytes_ = 0;
};

// How much of the next requests is read while one is being answered.
constexpr size_t kReadAhead = 64 << 10;
constexpr size_t kHeaderPiece = 8 << 10;
// How long and how much a refused client may go on sending.
constexpr std::chrono::seconds kLingerWait(2);
constexpr size_t kLingerBytes = 8 << 20;
constexpr size_t kLingerPiece = 64 << 10;

}  // namespace

Session::Session(std::shared_ptr<Server> server, asio::ip::tcp::socket socket)
    : server_(std::move(server)), stream_(std::move(socket)) {
  boost::system::error_code error;
  const auto peer = stream_.socket().remote_endpoint(error);
  peer_address_ = error ? "unknown" : peer.address().to_string();
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), error);
  server_->sessions_.insert(this);
}

Session::~Session() { server_->sessions_.erase(this); }

void Session::Close() {
  boost::system::error_code error;
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_both, error);
  stream_.socket().close(error);
}

asio::awaitable<void> Session::Run() {
  try {
    while (!server_->stopping_ && co_await ServeOne()) {
    }
  } catch (const std::exception& failure) {
    telemetry::Log(telemetry::Level::kWarn, "HTTP session failed", {{"error", failure.what()}});
  }
  boost::system::error_code error;
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, error);
  if (refused_) co_await Linger();
}

asio::awaitable<void> Session::Linger() {
  // Closing a socket with unread bytes resets the connection, and the client may lose the refusal.
  boost::system::error_code error;
  std::string unread(kLingerPiece, '\0');
  stream_.expires_after(kLingerWait);
  for (size_t total = 0; !error && !server_->stopping_ && total < kLingerBytes;) {
    total += co_await stream_.async_read_some(asio::buffer(unread),
                                              asio::redirect_error(asio::use_awaitable, error));
  }
}

asio::awaitable<void> Session::AwaitClientGone() {
  boost::system::error_code error;
  while (buffer_.size() < kReadAhead) {
    const size_t read = co_await stream_.async_read_some(buffer_.prepare(4096),
                                                         asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::eof) {
      // Asio waits for an event before it reads again where a read has found the end, and the kernel tells of
      // the end once: without another event the next read would sit out its whole wait.
      stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_receive, error);
      co_return;
    }
    if (error) co_return;
    buffer_.commit(read);
  }
  // It has sent enough: whether it is still there shows when the answer is written.
  asio::steady_timer forever(stream_.get_executor(), asio::steady_timer::time_point::max());
  co_await forever.async_wait(asio::redirect_error(asio::use_awaitable, error));
}

asio::awaitable<bool> Session::ReadHeaders(Parser& parser) {
  boost::system::error_code error;
  parser.header_limit(static_cast<uint32_t>(server_->limits_.header_bytes));
  // Beast holds an announced length against it before the path is known here.
  parser.body_limit(server_->router_.LargestBody(server_->limits_.body_bytes));
  stream_.expires_after(server_->limits_.request_wait);
  while (!parser.is_header_done()) {
    if (HasFoldedHeader({static_cast<const char*>(buffer_.data().data()), buffer_.size()})) {
      error = bhttp::error::bad_value;
    } else {
      buffer_.consume(parser.put(buffer_.data(), error));
    }
    if (error == bhttp::error::need_more) {
      error = {};
      const size_t read = co_await stream_.async_read_some(buffer_.prepare(kHeaderPiece),
                                                           asio::redirect_error(asio::use_awaitable, error));
      buffer_.commit(read);
    }
    if (error) break;
  }
  // A message with two lengths, a length and chunks, or a coding that isn't known has two meanings: the one
  // thing to do is not to choose.
  if (!error) {
    const auto& head = parser.get();
    const auto coding = head[bhttp::field::transfer_encoding];
    const size_t lengths =
        head.count(bhttp::field::content_length) + head.count(bhttp::field::transfer_encoding);
    const bool bad_coding = head.count(bhttp::field::transfer_encoding) > 0 &&
                            (!beast::iequals(coding, "chunked") || head.version() < 11);
    const auto length = head[bhttp::field::content_length];
    const bool listed = !std::ranges::all_of(length, [](char c) { return c >= '0' && c <= '9'; });
    if (lengths > 1 || bad_coding || listed) error = bhttp::error::bad_content_length;
  }
  if (!error) error = LimitBody(parser);
  if (error) co_await Refuse(error);
  co_return !error;
}

beast::error_code Session::LimitBody(Parser& parser) {
  const auto& head = parser.get();
  const std::string_view target(head.target().data(), head.target().size());
  const std::string method(head.method_string());
  const Route* route = server_->router_.Find(method, target.substr(0, target.find('?')));
  body_limit_ = route != nullptr && route->body_bytes != 0 ? route->body_bytes : server_->limits_.body_bytes;
  parser.body_limit(body_limit_);
  if (route != nullptr && route->body_wait.count() != 0) stream_.expires_after(route->body_wait);
  const auto announced = parser.content_length();
  return announced && *announced > body_limit_ ? bhttp::error::body_limit : beast::error_code();
}

asio::awaitable<bool> Session::ServeOne() {
  boost::system::error_code error;
  if (buffer_.size() == 0) {
    // Nothing of the next request is here yet: the connection is idle, with a wait of its own.
    idle_ = true;
    stream_.expires_after(server_->limits_.idle_wait);
    const size_t read = co_await stream_.async_read_some(buffer_.prepare(4096),
                                                         asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return false;
    buffer_.commit(read);
  }
  idle_ = false;
  Parser parser;
  if (!co_await ReadHeaders(parser)) co_return false;
  Reservation reserved(server_->bodies_bytes_);
  if (beast::iequals(parser.get()[bhttp::field::expect], "100-continue")) {
    bhttp::response<bhttp::empty_body> go_on(bhttp::status::continue_, 11);
    co_await bhttp::async_write(stream_, go_on, asio::redirect_error(asio::use_awaitable, error));
  }
  while (!parser.is_done() && !error) {
    co_await bhttp::async_read_some(stream_, buffer_, parser,
                                    asio::redirect_error(asio::use_awaitable, error));
    if (reserved.GrowTo(parser.get().body().size(), server_->limits_.all_bodies_bytes)) continue;
    co_await Refuse({503, "too_busy", "Too many large requests at the same time",
                     "The proxy is reading as much as it has memory for. Try again in a second.",
                     std::chrono::seconds(1)});
    co_return false;
  }
  if (error) {
    co_await Refuse(error);
    co_return false;
  }
  stream_.expires_never();

  auto message = parser.release();
  Request request;
  request.method = std::string(message.method_string());
  const std::string_view target(message.target().data(), message.target().size());
  const size_t question = target.find('?');
  request.path = std::string(target.substr(0, question));
  if (question != std::string_view::npos) request.query = std::string(target.substr(question + 1));
  request.body = std::move(message.body());
  const unsigned version = message.version();
  const bool keep_alive = message.keep_alive() && !server_->stopping_;
  request.headers = std::move(static_cast<bhttp::fields&>(message.base()));
  request.request_id = RequestIdFor(request.Header("X-Request-Id"));
  request.peer_address = ClientOf(request);
  if (server_->extras_.tracer != nullptr) {
    const std::string_view route = server_->router_.LabelOf(request.path);
    const bool known = route != kOtherRoute;
    request.span = server_->extras_.tracer->Begin(
        known ? request.method + " " + std::string(route) : std::string("HTTP"),
        request.Header(telemetry::kTraceParent));
    request.span->Set("http.request.method", request.method);
    if (known) request.span->Set("http.route", route);
    request.span->Set("client.address", request.peer_address);
    request.span->Set("pondpilot.request_id", request.request_id);
  }

  const auto since = std::chrono::steady_clock::now();
  // Whichever ends first cancels the other: no work goes on for a client that is gone.
  auto handled = co_await (server_->router_.Handle(request) || AwaitClientGone());
  const bool gone = handled.index() == 1;
  const Response response = gone ? Response{kClientGone, "", "", {}, {}} : std::get<0>(std::move(handled));
  const unsigned counted = response.counted();
  const bool refusal = counted == 401 || counted == 403 || counted >= 500;
  const telemetry::Level level = refusal ? telemetry::Level::kWarn : telemetry::Level::kDebug;
  if (telemetry::Logs(level)) {
    telemetry::Log(level, "HTTP request",
                   {{"method", request.method},
                    {"path", request.path},
                    {"status", counted},
                    {"peer", request.peer_address},
                    {"request_id", request.request_id},
                    {"trace_id", request.TraceId()}});
  }
  body_bytes_ = 0;
  bool go_on = false;
  if (response.status != kClientGone) {
    go_on = co_await Answer(response, request.request_id, version, request.method == "HEAD", keep_alive);
  }
  if (request.span) {
    request.span->Set("http.response.status_code", response.status);
    request.span->Set("http.response.body.size", static_cast<int64_t>(body_bytes_));
    if (response.status >= 500) request.span->Fail();
  }
  Tell(request.path, counted, since, request.body.size());
  co_return go_on;
}

asio::awaitable<bool> Session::Answer(const Response& response, const std::string& request_id,
                                      unsigned version, bool head, bool keep_alive) {
  if (response.stream && version >= 11)
    co_return co_await AnswerStream(response, request_id, head, keep_alive);
  bhttp::response<bhttp::string_body> message(bhttp::status(response.status), version);
  SetHeaders(message, response, request_id, keep_alive && !response.stream);
  if (response.stream) {
    message.body() = "Streamed answers need HTTP/1.1.\n";
    message.result(bhttp::status::http_version_not_supported);
  } else if (head) {
    message.content_length(response.body.size());
  } else {
    message.body() = response.body;
    body_bytes_ = response.body.size();
  }
  if (!head && response.status != 204) message.prepare_payload();
  boost::system::error_code error;
  stream_.expires_after(server_->limits_.write_wait);
  bhttp::response_serializer<bhttp::string_body> serializer(message);
  serializer.split(head);
  if (head) {
    co_await bhttp::async_write_header(stream_, serializer, asio::redirect_error(asio::use_awaitable, error));
  } else {
    co_await bhttp::async_write(stream_, serializer, asio::redirect_error(asio::use_awaitable, error));
  }
  co_return !error && message.keep_alive();
}

asio::awaitable<bool> Session::AnswerStream(const Response& response, const std::string& request_id,
                                            bool head, bool keep_alive) {
  bhttp::response<bhttp::empty_body> message(bhttp::status(response.status), 11);
  SetHeaders(message, response, request_id, keep_alive);
  if (response.stream_bytes) {
    message.content_length(*response.stream_bytes);
  } else {
    message.chunked(true);
  }
  boost::system::error_code error;
  stream_.expires_after(server_->limits_.write_wait);
  bhttp::response_serializer<bhttp::empty_body> serializer(message);
  co_await bhttp::async_write_header(stream_, serializer, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return false;
  if (head) co_return keep_alive;
  StreamWriter writer(stream_, server_->limits_.write_wait, response.stream_bytes, body_bytes_);
  stream_.expires_never();
  const auto produced = co_await (Produce(response, writer, request_id) || AwaitClientGone());
  const bool* const whole = std::get_if<0>(&produced);
  // Without its last chunk, or all of its bytes, the client sees that the answer was cut.
  if (whole == nullptr || !*whole) co_return false;
  const bool ended = co_await writer.End();
  co_return ended&& keep_alive;
}

asio::awaitable<void> Session::Refuse(beast::error_code error) {
  Problem problem{400,
                  "malformed_request",
                  "The request is not HTTP/1.1",
                  "The request could not be read as HTTP/1.1.",
                  {}};
  if (error == bhttp::error::body_limit) {
    problem = {413,
               "body_too_large",
               "The body is too large",
               "A body may have up to " + std::to_string(body_limit_) + " bytes.",
               {}};
  } else if (error == bhttp::error::header_limit) {
    problem = {
        431,
        "headers_too_large",
        "The headers are too large",
        "The headers may have up to " + std::to_string(server_->limits_.header_bytes) + " bytes together.",
        {}};
  } else if (error.category() != bhttp::make_error_code(bhttp::error::bad_method).category() ||
             error == bhttp::error::end_of_stream || error == bhttp::error::partial_message) {
    co_return;  // the connection broke or its time is up: nobody to answer
  }
  co_await Refuse(std::move(problem));
}

asio::awaitable<void> Session::Refuse(Problem problem) {
  const std::string request_id = RequestIdFor("");
  refused_ = true;
  telemetry::Log(telemetry::Level::kWarn, "HTTP request refused",
                 {{"code", problem.code}, {"peer", peer_address_}, {"request_id", request_id}});
  const auto since = std::chrono::steady_clock::now();
  body_bytes_ = 0;
  co_await Answer(ToResponse(problem, request_id), request_id, 11, false, false);
  Tell("", problem.status, since, 0);
}

void Session::Tell(std::string_view path, unsigned status, std::chrono::steady_clock::time_point since,
                   uint64_t received) const {
  if (server_->extras_.observer == nullptr) return;
  server_->extras_.observer->Ended({server_->router_.LabelOf(path), status,
                                    std::chrono::steady_clock::now() - since, body_bytes_, received});
}

std::string Session::ClientOf(const Request& request) const {
  if (server_->extras_.trusted.none()) return peer_address_;
  std::string forwarded;  // a header that comes several times is one list
  const auto [first, last] = request.headers.equal_range("X-Forwarded-For");
  for (auto header = first; header != last; ++header) {
    if (!forwarded.empty()) forwarded += ',';
    forwarded += std::string_view(header->value().data(), header->value().size());
  }
  return server_->extras_.trusted.ClientOf(peer_address_, forwarded);
}

}  // namespace pondpilot::proxy::http
