#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/fields.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "telemetry/span.h"

namespace pondpilot::proxy::http {

struct Request {
  std::string method;  // "GET"
  std::string path;    // decoded nowhere: routes are plain ASCII, anything else finds no route
  std::string query;   // behind the question mark, undecoded
  boost::beast::http::fields headers;
  std::string body;
  std::string peer_address;  // the client's IP address, without a port
  std::string request_id;
  std::shared_ptr<telemetry::Span> span = {};  // null when traces are not exported

  // What goes on with work that is done elsewhere for this request; empty when there is no trace.
  std::string TraceParent() const;
  // The trace's id, for log lines; empty when there is none.
  std::string TraceId() const;

  // The value of a header, or empty. `name` in any case.
  std::string_view Header(std::string_view name) const;
};

// Sends pieces of a body, as chunks unless its length was said before.
class BodyWriter {
 public:
  // Bytes that lie in several places, one behind the other.
  using Buffers = std::vector<boost::asio::const_buffer>;

  virtual ~BodyWriter() = default;
  // False once the client is gone: stop producing.
  virtual boost::asio::awaitable<bool> Write(std::string piece) = 0;
  // The same; the bytes must stay where they are until it returns.
  virtual boost::asio::awaitable<bool> Write(const Buffers& piece) = 0;
  // The body ends here and is not whole: the connection is closed without its end, which the client sees.
  virtual void Cut() = 0;
};

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  // When set, `body` is ignored and this produces it piece by piece.
  std::function<boost::asio::awaitable<void>(BodyWriter&)> stream;
  // How many bytes the stream has, when that is known: they are sent without chunks then.
  std::optional<uint64_t> stream_bytes = {};
  // What logs and metrics say instead of `status`, for a protocol whose refusals have status 200; 0: nothing
  // else.
  unsigned counted_status = 0;

  unsigned counted() const { return counted_status != 0 ? counted_status : status; }
};

// The status, in logs only, of a request whose client left before the answer.
inline constexpr unsigned kClientGone = 499;

// Handlers are cancelled when their client goes away: the operation they wait for ends with
// operation_aborted.
using Handler = std::function<boost::asio::awaitable<Response>(const Request&)>;

// A method as names of spans have it: one of HTTP's own (RFC 9110, RFC 5789), or kOtherMethod.
inline constexpr std::string_view kOtherMethod = "_OTHER";
std::string_view MethodLabel(std::string_view method);

// A client's X-Request-Id when it is fit for a log line (1 to 64 letters, digits, '-', '_' or '.'), else a
// new one.
std::string RequestIdFor(std::string_view sent);

}  // namespace pondpilot::proxy::http
