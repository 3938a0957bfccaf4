#include "proxy/ai/upstream.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/url/parse.hpp>
#include <type_traits>

namespace pondpilot::proxy::ai {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using PlainStream = beast::tcp_stream;
using TlsStream = asio::ssl::stream<beast::tcp_stream>;

constexpr size_t kPieceBytes = 16 << 10;
constexpr uint32_t kHeaderBytes = 64 << 10;

std::unexpected<base::Error> Failed(const error_code& error, const std::string& where) {
  const std::string detail = where + ": " + error.message();
  if (error == asio::error::operation_aborted) {
    return base::Fail(base::ErrorCode::kCancelled, "The request was cancelled.", detail);
  }
  if (error == beast::error::timeout) {
    return base::Fail(base::ErrorCode::kDeadlineExceeded, "The AI provider took too long to answer.", detail);
  }
  return base::Fail(base::ErrorCode::kUnavailable,
                    "The AI provider can't be reached, or broke off its answer.", detail);
}

struct Target {
  bool tls = false;
  std::string host;  // to resolve and to hold the certificate against
  std::string port;
  std::string authority;  // for the Host header
  std::string path;
};

base::Result<Target> ParseTarget(const std::string& url) {
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed || (parsed->scheme() != "https" && parsed->scheme() != "http") || parsed->host().empty()) {
    return base::Fail(base::ErrorCode::kInternal, "The address of the AI provider is not usable.",
                      "not an http:// or https:// URL");
  }
  Target target;
  target.tls = parsed->scheme() == "https";
  target.host = parsed->host_address();
  target.port = parsed->has_port() ? std::string(parsed->port()) : (target.tls ? "443" : "80");
  target.authority = std::string(parsed->encoded_host_and_port());
  target.path = std::string(parsed->encoded_target());
  if (!target.path.starts_with('/')) target.path.insert(0, 1, '/');
  return target;
}

// How long the next operation may take: its own wait, but not beyond the exchange's end.
std::chrono::milliseconds Capped(std::chrono::milliseconds wait, base::Clock::Steady deadline,
                                 const base::Clock& clock) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.Now());
  return std::clamp(left, std::chrono::milliseconds(0), wait);
}

template <typename Stream>
class Reply final : public UpstreamReply {
 public:
  Reply(std::unique_ptr<Stream> stream, const UpstreamWaits& waits, base::Clock::Steady deadline,
        const base::Clock& clock, std::string where)
      : stream_(std::move(stream)),
        waits_(waits),
        deadline_(deadline),
        clock_(clock),
        where_(std::move(where)) {
    parser_.header_limit(kHeaderBytes);
    parser_.body_limit(boost::none);  // read in pieces; whoever collects them has a limit
  }

  asio::awaitable<base::Result<void>> Exchange(const bhttp::request<bhttp::string_body>& request) {
    error_code error;
    Lowest().expires_after(Capped(waits_.answer, deadline_, clock_));
    co_await bhttp::async_write(*stream_, request, asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      co_await bhttp::async_read_header(*stream_, buffer_, parser_,
                                        asio::redirect_error(asio::use_awaitable, error));
    }
    if (error) co_return Failed(error, where_);
    co_return base::Result<void>();
  }

  unsigned status() const override { return parser_.get().result_int(); }

  std::string Header(std::string_view name) const override {
    const auto value = parser_.get()[name];
    return {value.data(), value.size()};
  }

  asio::awaitable<base::Result<std::string>> Read() override {
    std::string piece(kPieceBytes, '\0');
    auto& body = parser_.get().body();
    size_t got = 0;
    while (got == 0 && !parser_.is_done()) {
      body.data = piece.data();
      body.size = piece.size();
      body.more = true;
      error_code error;
      Lowest().expires_after(Capped(waits_.silence, deadline_, clock_));
      co_await bhttp::async_read_some(*stream_, buffer_, parser_,
                                      asio::redirect_error(asio::use_awaitable, error));
      if (error == bhttp::error::need_buffer) error = {};
      if (error) co_return Failed(error, where_);
      got = piece.size() - body.size;
    }
    piece.resize(got);
    co_return piece;
  }

 private:
  beast::tcp_stream& Lowest() {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      return stream_->next_layer();
    } else {
      return *stream_;
    }
  }

  const std::unique_ptr<Stream> stream_;
  const UpstreamWaits waits_;
  const base::Clock::Steady deadline_;
  const base::Clock& clock_;
  const std::string where_;
  beast::flat_buffer buffer_;
  bhttp::response_parser<bhttp::buffer_body> parser_;
};

bhttp::request<bhttp::string_body> ToMessage(const Target& target, UpstreamRequest request) {
  bhttp::request<bhttp::string_body> message(bhttp::verb::post, target.path, 11);
  message.set(bhttp::field::host, target.authority);
  message.set(bhttp::field::user_agent, "pondpilot-proxy");
  message.set(bhttp::field::content_type, "application/json");
  message.set(bhttp::field::accept, "application/json, text/event-stream");
  message.set(bhttp::field::accept_encoding, "identity");
  for (const auto& [name, value] : request.headers) message.set(name, value);
  message.keep_alive(false);
  message.body() = std::move(request.body);
  message.prepare_payload();
  return message;
}

}  // namespace

UpstreamClient::UpstreamClient(const UpstreamWaits& waits, const base::Clock& clock)
    : waits_(waits), clock_(clock), tls_(asio::ssl::context::tls_client) {
  error_code ignored;  // without authorities no certificate is accepted, which the first call will say
  tls_.set_default_verify_paths(ignored);
  tls_.set_verify_mode(asio::ssl::verify_peer);
  SSL_CTX_set_min_proto_version(tls_.native_handle(), TLS1_2_VERSION);
}

asio::awaitable<base::Result<std::unique_ptr<UpstreamReply>>> UpstreamClient::Post(UpstreamRequest request) {
  const base::Result<Target> parsed = ParseTarget(request.url);
  if (!parsed) co_return std::unexpected(parsed.error());
  const Target& target = *parsed;
  const std::string where = target.host + ":" + target.port;
  const auto deadline = request.deadline.value_or(clock_.Now() + waits_.total);
  const auto executor = co_await asio::this_coro::executor;

  error_code error;
  tcp::resolver resolver(executor);  // its wait is the system resolver's own
  const auto endpoints = co_await resolver.async_resolve(target.host, target.port,
                                                         asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return Failed(error, where + " (name lookup)");
  beast::tcp_stream socket(executor);
  socket.expires_after(Capped(waits_.connect, deadline, clock_));
  co_await socket.async_connect(endpoints, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return Failed(error, where + " (connect)");
  socket.socket().set_option(tcp::no_delay(true), error);

  const auto message = ToMessage(target, std::move(request));
  if (!target.tls) {
    auto reply = std::make_unique<Reply<PlainStream>>(std::make_unique<PlainStream>(std::move(socket)),
                                                      waits_, deadline, clock_, where);
    const auto sent = co_await reply->Exchange(message);
    if (!sent) co_return std::unexpected(sent.error());
    co_return reply;
  }
  auto stream = std::make_unique<TlsStream>(std::move(socket), tls_);
  SSL_set_tlsext_host_name(stream->native_handle(), target.host.c_str());
  stream->set_verify_callback(asio::ssl::host_name_verification(target.host));
  stream->next_layer().expires_after(Capped(waits_.connect, deadline, clock_));
  co_await stream->async_handshake(asio::ssl::stream_base::client,
                                   asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return Failed(error, where + " (TLS)");
  auto reply = std::make_unique<Reply<TlsStream>>(std::move(stream), waits_, deadline, clock_, where);
  const auto sent = co_await reply->Exchange(message);
  if (!sent) co_return std::unexpected(sent.error());
  co_return reply;
}

asio::awaitable<base::Result<std::string>> ReadAll(UpstreamReply& reply, size_t limit) {
  std::string all;
  while (true) {
    const auto piece = co_await reply.Read();
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty()) co_return all;
    if (all.size() + piece->size() > limit) {
      co_return base::Fail(base::ErrorCode::kUnavailable, "The AI provider's answer is too large.",
                           "more than " + std::to_string(limit) + " bytes");
    }
    all += *piece;
  }
}

std::string JoinUrl(std::string_view base_url, std::string_view path) {
  if (base_url.ends_with('/')) base_url.remove_suffix(1);
  return std::string(base_url).append(path);
}

}  // namespace pondpilot::proxy::ai
