#include "proxy/http/session.h"

#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <variant>

#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace pondpilot::proxy::http {

namespace asio = boost::asio;
using namespace boost::asio::experimental::awaitable_operators;

namespace {

// How much of the next requests is read while one is being answered.
constexpr size_t kReadAhead = 64 << 10;
// How long and how much a refused client may go on sending.
constexpr std::chrono::seconds kLingerWait(2);
constexpr size_t kLingerBytes = 8 << 20;
constexpr size_t kLingerPiece = 64 << 10;

std::string PeerOf(const boost::beast::tcp_stream& stream) {
  boost::system::error_code error;
  const auto peer = stream.socket().remote_endpoint(error);
  return error ? "unknown" : peer.address().to_string();
}

}  // namespace

Session::Session(std::shared_ptr<Server> server, asio::ip::tcp::socket socket)
    : server_(std::move(server)),
      stream_(std::move(socket)),
      peer_address_(PeerOf(stream_)),
      reader_(*server_, stream_, buffer_, peer_address_),
      writer_(stream_, server_->limits_.write_wait, [this] { return AwaitClientGone(); }) {
  boost::system::error_code error;
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), error);
  stream_.socket().non_blocking(true, error);  // for AnswerWriter, which tries before it waits
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
  auto incoming = co_await reader_.Read();
  if (!incoming) {
    if (incoming.error().answer) co_await Refuse(std::move(incoming.error()));
    co_return false;
  }
  Request& request = incoming->request;
  const bool keep_alive = incoming->keep_alive && !server_->stopping_;
  if (server_->extras_.tracer != nullptr) BeginSpan(request);

  const auto since = std::chrono::steady_clock::now();
  Response response{kClientGone, "", "", {}, {}};
  if (incoming->route != nullptr && incoming->route->at_once) {
    response = co_await server_->router_.Handle(request);
  } else {
    // Whichever ends first cancels the other: no work goes on for a client that is gone.
    auto handled = co_await (server_->router_.Handle(request) || AwaitClientGone());
    if (handled.index() == 0) response = std::get<0>(std::move(handled));
  }
  const unsigned status = response.status;
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
  bool go_on = false;
  if (status != kClientGone) {
    go_on = co_await writer_.Write(std::move(response), {.request_id = request.request_id,
                                                         .version = incoming->version,
                                                         .head = request.method == "HEAD",
                                                         .keep_alive = keep_alive});
  }
  const uint64_t sent = status != kClientGone ? writer_.body_bytes() : 0;
  if (request.span) {
    request.span->Set("http.response.status_code", status);
    request.span->Set("http.response.body.size", static_cast<int64_t>(sent));
    if (status >= 500) request.span->Fail();
  }
  Tell({server_->router_.LabelOf(request.path), counted, std::chrono::steady_clock::now() - since, sent,
        request.body.size()});
  co_return go_on;
}

asio::awaitable<void> Session::Refuse(Unread unread) {
  refused_ = true;
  telemetry::Log(telemetry::Level::kWarn, "HTTP request refused",
                 {{"code", unread.code}, {"peer", peer_address_}, {"request_id", unread.request_id}});
  const auto since = std::chrono::steady_clock::now();
  const unsigned counted = unread.answer->counted();
  co_await writer_.Write(std::move(*unread.answer), {.request_id = unread.request_id});
  Tell({server_->router_.LabelOf(unread.path), counted, std::chrono::steady_clock::now() - since,
        writer_.body_bytes(), 0});
}

void Session::BeginSpan(Request& request) const {
  const std::string_view route = server_->router_.LabelOf(request.path);
  const bool known = route != kOtherRoute;
  const std::string method(MethodLabel(request.method));
  // As OpenTelemetry's conventions for HTTP have it: without a route the method alone.
  std::string name = method == kOtherMethod ? "HTTP" : method;
  if (known) name.append(" ").append(route);
  request.span = server_->extras_.tracer->Begin(name, BelievedTraceParent(request));
  request.span->Set("http.request.method", method);
  if (known) request.span->Set("http.route", route);
  request.span->Set("client.address", request.peer_address);
  request.span->Set("pondpilot.request_id", request.request_id);
}

std::string_view Session::BelievedTraceParent(const Request& request) const {
  const std::string_view sent = request.Header(telemetry::kTraceParent);
  if (sent.empty()) return sent;
  const ServerExtras& extras = server_->extras_;
  const bool believed =
      extras.trusted.Trusts(peer_address_) || (extras.is_callers != nullptr && extras.is_callers(request));
  return believed ? sent : std::string_view();
}

void Session::Tell(const Served& served) const {
  if (server_->extras_.observer != nullptr) server_->extras_.observer->Ended(served);
}

}  // namespace pondpilot::proxy::http
