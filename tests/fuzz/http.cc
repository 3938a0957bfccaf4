// What a client may send on a connection to the HTTP port: the real server, on the loopback.
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "check.h"
#include "proxy/http/server.h"
#include "telemetry/log.h"

namespace {

namespace asio = boost::asio;
namespace bhttp = boost::beast::http;
using namespace pondpilot::proxy::http;
using asio::ip::tcp;

class Door {
 public:
  Door() {
    pondpilot::telemetry::SetThreshold(pondpilot::telemetry::Level::kError);
    ServerLimits limits;
    limits.header_bytes = 8 << 10;
    limits.body_bytes = 4 << 10;
    limits.small_body_bytes = 256;
    auto server = Server::Start(io_.get_executor(), "127.0.0.1", 0, router_, limits,
                                {.trusted = pondpilot::base::TrustedProxies({"127.0.0.0/8"})});
    FUZZ_CHECK(server.has_value());
    server_ = *server;
  }

  // Sends it all, says that there is no more, and reads until the server has closed. handled() are the
  // requests that came to a handler then.
  std::string Exchange(std::string_view sent) {
    handled_ = 0;
    tcp::socket client(io_);
    client.connect({asio::ip::make_address("127.0.0.1"), server_->port()});
    boost::system::error_code error;
    asio::write(client, asio::buffer(sent.data(), sent.size()), error);
    client.shutdown(tcp::socket::shutdown_send, error);
    std::string answer;
    bool closed = false;
    asio::async_read(client, asio::dynamic_buffer(answer),
                     [&closed](const boost::system::error_code&, size_t) { closed = true; });
    io_.restart();
    while (!closed) FUZZ_CHECK(io_.run_one_for(std::chrono::seconds(20)) > 0);
    return answer;
  }
  size_t handled() const { return handled_; }

 private:
  asio::io_context io_{1};
  size_t handled_ = 0;
  Route Sql() {
    Route route{"POST", "/sql", [this](const Request& request) -> asio::awaitable<Response> {
                  ++handled_;
                  FUZZ_CHECK(request.body.size() <= 4096 && !request.request_id.empty());
                  FUZZ_CHECK(request.body.size() <= 256 || request.body.starts_with('{'));
                  co_return Response{200, "text/plain", request.peer_address, {}, {}};
                }};
    route.gate_bytes = 1;
    route.body_gate = [](const Request& head, std::string_view begin) -> std::optional<Response> {
      FUZZ_CHECK(!begin.empty() && head.path == "/sql" && head.body.empty());
      if (begin.starts_with('{')) return std::nullopt;
      return Response{403, "text/plain", "", {}, {}};
    };
    return route;
  }

  Router router_{{{"GET", "/health",
                   [this](const Request&) -> asio::awaitable<Response> {
                     ++handled_;
                     co_return Response{200, "application/json", "{}", {}, {}};
                   }},
                  Sql(),
                  {"GET", "/stream",
                   [this](const Request&) -> asio::awaitable<Response> {
                     ++handled_;
                     Response response;
                     response.stream = [](BodyWriter& writer) -> asio::awaitable<void> {
                       co_await writer.Write("piece");
                     };
                     co_return response;
                   }}},
                 Cors({"https://app.example.com"})};
  std::shared_ptr<Server> server_;
};

// The status of each answer in what the server has sent, in their order; nullopt when it is something else
// than answers one behind the other. No body of this server's begins as an answer does, so one that was left
// out (of HEAD) is known by what follows.
std::optional<std::vector<int>> StatusesOf(std::string_view sent) {
  constexpr std::string_view kVersion = "HTTP/1.";
  std::vector<int> statuses;
  while (!sent.empty()) {
    const size_t end = sent.find("\r\n\r\n");
    if (!sent.starts_with(kVersion) || end == sent.npos || end < 12) return std::nullopt;
    const std::string_view head = sent.substr(0, end + 2);
    sent.remove_prefix(end + 4);
    int status = 0;
    if (std::from_chars(head.data() + 9, head.data() + 12, status).ptr != head.data() + 12)
      return std::nullopt;
    statuses.push_back(status);
    if (sent.starts_with(kVersion)) continue;
    if (head.contains("\r\nTransfer-Encoding: chunked\r\n")) {
      constexpr std::string_view kStreamed = "5\r\npiece\r\n0\r\n\r\n";
      if (!sent.starts_with(kStreamed) && !kStreamed.starts_with(sent)) return std::nullopt;
      sent.remove_prefix(std::min(sent.size(), kStreamed.size()));
      continue;
    }
    constexpr std::string_view kLength = "\r\nContent-Length: ";
    const size_t at = head.find(kLength);
    size_t length = 0;
    if (at != head.npos) {
      const char* digits = head.data() + at + kLength.size();
      if (std::from_chars(digits, head.data() + head.size(), length).ec != std::errc()) return std::nullopt;
    }
    if (sent.empty()) continue;  // the last one, of HEAD
    if (sent.size() < length) return std::nullopt;
    sent.remove_prefix(length);
  }
  return statuses;
}

// Whether the first request has two meanings, by what its headers look like and nothing cleverer: a length
// and a coding, either of them twice, or a header that goes on in the next line.
bool HasTwoMeanings(std::string_view sent) {
  sent.remove_prefix(std::min(sent.find_first_not_of("\r\n"), sent.size()));
  const size_t end = sent.find("\r\n\r\n");
  if (end == sent.npos) return false;
  const std::string head = pondpilot::base::ToLowerAscii(sent.substr(0, end + 2));
  size_t framings = 0;
  for (size_t line = head.find('\n'); line != head.npos; line = head.find('\n', line + 1)) {
    const std::string_view rest = std::string_view(head).substr(line + 1);
    if (rest.starts_with(' ') || rest.starts_with('\t')) return true;
    if (rest.starts_with("content-length:") || rest.starts_with("transfer-encoding:")) ++framings;
  }
  return framings > 1;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Door door;
  constexpr size_t kMostBytes = 64 << 10;
  const std::string_view sent(reinterpret_cast<const char*>(data), std::min(size, kMostBytes));
  const std::string answer = door.Exchange(sent);
  // Whatever was asked, what comes back are answers of HTTP, one behind the other.
  const auto statuses = StatusesOf(answer);
  FUZZ_CHECK(statuses.has_value());
  FUZZ_CHECK(!std::ranges::contains(*statuses, 500));
  // A handler's answer is 200, or 505 for what its client's HTTP can't carry. Nothing else makes these, and
  // no request is handled twice: the last one's client may have gone before its answer.
  const auto of_handlers = static_cast<size_t>(
      std::ranges::count_if(*statuses, [](int status) { return status == 200 || status == 505; }));
  FUZZ_CHECK(door.handled() == of_handlers || door.handled() == of_handlers + 1);
  // Nothing is handled of what was refused as having two meanings: a refusal is the last answer.
  const size_t refused = answer.find("\"code\":\"malformed_request\"");
  FUZZ_CHECK(refused == answer.npos || statuses->back() == 400);
  FUZZ_CHECK(refused == answer.npos || answer.find("HTTP/1.1 ", refused) == answer.npos);
  FUZZ_CHECK(refused == answer.npos || door.handled() == of_handlers);
  FUZZ_CHECK(!HasTwoMeanings(sent) || door.handled() == 0);
  return 0;
}
