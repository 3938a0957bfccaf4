#include "proxy/launch/docker/engine_client.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

namespace pondpilot::proxy::launch::docker {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;

// The newest version whose answers are known, and the oldest that has all that is asked for.
constexpr int kNewestMinor = 47;
constexpr int kOldestMinor = 41;
// A pull reports its progress at length; everything else is far smaller.
constexpr size_t kMaxBody = 64 << 20;
constexpr milliseconds kPingTimeout = seconds(5);

base::Error TransportError(const std::string& path, const boost::system::error_code& error) {
  namespace errc = boost::system::errc;
  if (error == errc::no_such_file_or_directory) {
    return {ErrorCode::kUnavailable,
            "The Docker engine's socket " + path +
                " does not exist. Mount it into the proxy's container: in docker-compose.yml under volumes "
                "\"- /var/run/docker.sock:" +
                path + "\", or with docker run -v; or set containers.docker_socket to where it is.",
            {},
            {}};
  }
  if (error == errc::permission_denied) {
    struct stat info{};
    const std::string group =
        ::stat(path.c_str(), &info) == 0 ? std::to_string(info.st_gid) : "of the socket";
    return {ErrorCode::kUnavailable,
            "No permission to use the Docker engine's socket " + path + ". Look at it with `ls -la " + path +
                "` and give the proxy its group: group " + group + " (docker run --group-add " + group +
                ", or group_add in compose.yaml).",
            {},
            {}};
  }
  if (error == errc::connection_refused) {
    return {
        ErrorCode::kUnavailable,
        "Nothing answers on the Docker engine's socket " + path + ": the engine is not running. Start it.",
        {},
        {}};
  }
  if (error == beast::error::timeout) {
    return {
        ErrorCode::kDeadlineExceeded, "The Docker engine did not answer in time on " + path + ".", {}, {}};
  }
  if (error == asio::error::operation_aborted) {
    return {ErrorCode::kCancelled, "The request to the Docker engine was cancelled.", {}, {}};
  }
  return {ErrorCode::kUnavailable,
          "The connection to the Docker engine on " + path + " failed: " + error.message() + ".",
          {},
          {}};
}

struct RawReply {
  EngineReply reply;
  std::string api_version;
};

asio::awaitable<base::Result<RawReply>> Exchange(std::string socket_path, http::verb verb, std::string target,
                                                 std::optional<std::string> body, milliseconds timeout) {
  beast::basic_stream<asio::local::stream_protocol> stream(co_await asio::this_coro::executor);
  stream.expires_after(timeout);
  boost::system::error_code error;
  if (socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
    co_return base::Fail(ErrorCode::kInvalidArgument,
                         "The path of the Docker engine's socket is too long for a Unix "
                         "socket: " +
                             socket_path);
  }
  const asio::local::stream_protocol::endpoint endpoint(socket_path);
  co_await stream.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return std::unexpected(TransportError(socket_path, error));

  http::request<http::string_body> request(verb, target, 11);
  request.set(http::field::host, "docker");
  request.set(http::field::connection, "close");
  if (body) {
    request.set(http::field::content_type, "application/json");
    request.body() = std::move(*body);
  }
  request.prepare_payload();
  co_await http::async_write(stream, request, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return std::unexpected(TransportError(socket_path, error));

  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxBody);
  co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return std::unexpected(TransportError(socket_path, error));

  auto response = parser.release();
  RawReply raw;
  raw.reply.status = static_cast<int>(response.result_int());
  raw.api_version = std::string(response["Api-Version"]);
  raw.reply.text = std::move(response.body());
  boost::system::error_code not_json;
  raw.reply.body = json::parse(raw.reply.text, not_json);
  if (not_json) raw.reply.body = nullptr;
  co_return raw;
}

asio::awaitable<base::Result<EngineReply>> Ask(std::string socket_path, http::verb verb, std::string target,
                                               std::optional<json::value> body, milliseconds timeout) {
  // Named first: as part of the co_await expression g++ 16 evaluates it although there is no body.
  std::optional<std::string> text;
  if (body.has_value()) text = json::serialize(*body);
  auto raw = co_await Exchange(std::move(socket_path), verb, std::move(target), std::move(text), timeout);
  if (!raw) co_return std::unexpected(std::move(raw.error()));
  co_return std::move(raw->reply);
}

// The minor number of "1.41"; nothing for anything else.
std::optional<int> MinorOf(std::string_view version) {
  if (!version.starts_with("1.")) return std::nullopt;
  int minor = 0;
  const char* end = version.data() + version.size();
  const auto parsed = std::from_chars(version.data() + 2, end, minor);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return minor;
}

}  // namespace

EngineClient::EngineClient(std::string socket_path) : socket_path_(std::move(socket_path)) {}

asio::awaitable<base::Result<void>> EngineClient::Negotiate() {
  const auto raw = co_await Exchange(socket_path_, http::verb::get, "/_ping", std::nullopt, kPingTimeout);
  if (!raw) co_return std::unexpected(raw.error());
  if (raw->reply.status != 200) co_return std::unexpected(EngineError("answer a ping", raw->reply));
  const auto minor = MinorOf(raw->api_version);
  if (!minor) {
    co_return base::Fail(
        ErrorCode::kUnavailable,
        "What answers on " + socket_path_ + " names no Docker API version: it is not a Docker engine.");
  }
  if (*minor < kOldestMinor) {
    co_return base::Fail(ErrorCode::kFailedPrecondition,
                         "The Docker engine on " + socket_path_ + " speaks API " + raw->api_version +
                             "; 1.41 (Docker 20.10) or newer is needed. Update the engine.");
  }
  api_version_ = "1." + std::to_string(std::min(*minor, kNewestMinor));
  co_return base::Result<void>();
}

asio::awaitable<base::Result<void>> EngineClient::Ping() const {
  const auto raw = co_await Exchange(socket_path_, http::verb::get, "/_ping", std::nullopt, kPingTimeout);
  if (!raw) co_return std::unexpected(raw.error());
  if (raw->reply.status != 200) co_return std::unexpected(EngineError("answer a ping", raw->reply));
  co_return base::Result<void>();
}

asio::awaitable<base::Result<EngineReply>> EngineClient::Get(std::string path, milliseconds timeout) const {
  return Ask(socket_path_, http::verb::get, "/v" + api_version_ + path, std::nullopt, timeout);
}

asio::awaitable<base::Result<EngineReply>> EngineClient::Post(std::string path,
                                                              std::optional<json::value> body,
                                                              milliseconds timeout) const {
  return Ask(socket_path_, http::verb::post, "/v" + api_version_ + path, std::move(body), timeout);
}

asio::awaitable<base::Result<EngineReply>> EngineClient::Delete(std::string path,
                                                                milliseconds timeout) const {
  return Ask(socket_path_, http::verb::delete_, "/v" + api_version_ + path, std::nullopt, timeout);
}

base::Error EngineError(std::string_view what, const EngineReply& reply) {
  std::string message = StringAt(reply.body, "/message");
  if (message.empty()) message = "HTTP status " + std::to_string(reply.status);
  return {
      ErrorCode::kUnavailable, "The Docker engine refused to " + std::string(what) + ": " + message, {}, {}};
}

std::string StringAt(const json::value& document, std::string_view pointer) {
  boost::system::error_code error;
  const json::value* found = document.find_pointer(pointer, error);
  const json::string* text = found ? found->if_string() : nullptr;
  return text ? std::string(*text) : std::string();
}

std::string UrlEncode(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const unsigned char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      encoded += static_cast<char>(c);
    } else {
      encoded += {'%', kDigits[c >> 4], kDigits[c & 15]};
    }
  }
  return encoded;
}

}  // namespace pondpilot::proxy::launch::docker
