#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pondpilot::proxy::launch::docker {

// What the engine answered, whatever the status.
struct EngineReply {
  int status = 0;
  std::string text;         // the body as it came
  boost::json::value body;  // the body when it is one JSON document, else null
};

// The engine's HTTP API over its Unix socket: one connection per request, each with a deadline and a bounded
// answer. Thread-safe once Negotiate has returned. Calls can be cancelled.
class EngineClient {
 public:
  explicit EngineClient(std::string socket_path);

  // Agrees on an API version with the engine. An error when the engine is out of reach or too old.
  boost::asio::awaitable<base::Result<void>> Negotiate();
  // Is the engine there?
  boost::asio::awaitable<base::Result<void>> Ping() const;

  // `path` begins with a slash and has no version ("/containers/json?all=true"). Errors (kUnavailable,
  // kDeadlineExceeded) are only those of the transport; the engine's own come as a reply.
  boost::asio::awaitable<base::Result<EngineReply>> Get(std::string path,
                                                        std::chrono::milliseconds timeout) const;
  boost::asio::awaitable<base::Result<EngineReply>> Post(std::string path,
                                                         std::optional<boost::json::value> body,
                                                         std::chrono::milliseconds timeout) const;
  boost::asio::awaitable<base::Result<EngineReply>> Delete(std::string path,
                                                           std::chrono::milliseconds timeout) const;

  // "1.41"; empty before Negotiate.
  const std::string& api_version() const { return api_version_; }
  const std::string& socket_path() const { return socket_path_; }

 private:
  const std::string socket_path_;
  std::string api_version_;
};

// The Error for a reply that isn't what was hoped for: "The Docker engine refused to <what>: <its message>".
base::Error EngineError(std::string_view what, const EngineReply& reply);

// The string at a JSON pointer ("/State/Status"), empty when there is none.
std::string StringAt(const boost::json::value& document, std::string_view pointer);

// Percent-encodes everything but letters, digits and "-._~".
std::string UrlEncode(std::string_view text);

}  // namespace pondpilot::proxy::launch::docker
