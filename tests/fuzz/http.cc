// What a client may send on a connection to the HTTP port: the real server, on the loopback.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string>
#include <string_view>

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
    auto server = Server::Start(io_.get_executor(), "127.0.0.1", 0, router_, limits,
                                {.trusted = pondpilot::base::TrustedProxies({"127.0.0.0/8"})});
    FUZZ_CHECK(server.has_value());
    server_ = *server;
  }

  // Sends it all, says that there is no more, and reads until the server has closed.
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
  Router router_{{{"GET", "/health",
                   [this](const Request&) -> asio::awaitable<Response> {
                     ++handled_;
                     co_return Response{200, "application/json", "{}", {}, {}};
                   }},
                  {"POST", "/sql",
                   [this](const Request& request) -> asio::awaitable<Response> {
                     ++handled_;
                     FUZZ_CHECK(request.body.size() <= 4096 && !request.request_id.empty());
                     co_return Response{200, "text/plain", request.peer_address, {}, {}};
                   }},
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Door door;
  constexpr size_t kMostBytes = 64 << 10;
  const std::string answer = door.Exchange({reinterpret_cast<const char*>(data), std::min(size, kMostBytes)});
  // Whatever was asked, what comes back are answers of HTTP, one behind the other.
  FUZZ_CHECK(answer.empty() || answer.starts_with("HTTP/1."));
  FUZZ_CHECK(!answer.contains("HTTP/1.1 500"));
  // Nothing is handled of what was refused as having two meanings: a refusal is the last answer.
  const size_t refused = answer.find("\"code\":\"malformed_request\"");
  FUZZ_CHECK(refused == answer.npos || answer.find("HTTP/1.1 ", refused) == answer.npos);
  return 0;
}
