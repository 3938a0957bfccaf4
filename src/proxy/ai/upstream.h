#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace pondpilot::proxy::ai {

// A POST of JSON to a provider.
struct UpstreamRequest {
  std::string url;  // http:// or https://
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::optional<base::Clock::Steady> deadline =
      {};  // of the whole exchange; else UpstreamWaits::total from now
};

struct UpstreamWaits {
  std::chrono::milliseconds connect{std::chrono::seconds(10)};  // TCP and TLS, each
  std::chrono::milliseconds answer{std::chrono::minutes(5)};    // until the headers of the answer
  std::chrono::milliseconds silence{std::chrono::seconds(90)};  // between two pieces of the body
  std::chrono::milliseconds total{std::chrono::minutes(15)};    // the whole exchange
  // Before a call that failed is tried once more: the least, and the most that a provider's Retry-After may
  // ask for; whoever asks for more is not asked again.
  std::chrono::milliseconds retry_pause{500};
  std::chrono::milliseconds retry_most{std::chrono::seconds(10)};
};

// An answer whose headers are here and whose body is being read. Destroying it ends the connection.
class UpstreamReply {
 public:
  virtual ~UpstreamReply() = default;
  virtual unsigned status() const = 0;
  // The value of a header, or empty.
  virtual std::string Header(std::string_view name) const = 0;
  // The next piece of the body as it comes in; empty at its end. kUnavailable when the connection breaks,
  // kDeadlineExceeded, kCancelled.
  virtual boost::asio::awaitable<base::Result<std::string>> Read() = 0;
};

// An HTTP/1.1 client for providers: a connection per request; https with the certificate and the host name
// checked against the system's authorities (or SSL_CERT_FILE); redirects are not followed, as they would
// carry the key elsewhere.
class UpstreamClient {
 public:
  // `clock` must outlive the client and its replies.
  UpstreamClient(const UpstreamWaits& waits, const base::Clock& clock);

  // Errors as UpstreamReply::Read; the detail names host and cause. Runs on the executor of the caller's
  // coroutine.
  boost::asio::awaitable<base::Result<std::unique_ptr<UpstreamReply>>> Post(UpstreamRequest request);

 private:
  const UpstreamWaits waits_;
  const base::Clock& clock_;
  boost::asio::ssl::context tls_;
};

// The whole body. kUnavailable when it is longer than `limit` bytes.
boost::asio::awaitable<base::Result<std::string>> ReadAll(UpstreamReply& reply, size_t limit);

// `path` (with a leading slash) behind a base URL that may end in a slash.
std::string JoinUrl(std::string_view base_url, std::string_view path);

}  // namespace pondpilot::proxy::ai
