#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>

namespace pondpilot::proxy::ai {

// A provider that a test scripts: a plain HTTP server on the loopback, one connection after the other.
class FakeProvider {
 public:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;
  using Socket = boost::asio::ip::tcp::socket;
  // Answers one request by writing bytes.
  using Script = std::function<void(const Request&, Socket&)>;

  explicit FakeProvider(Script script)
      : acceptor_(io_, {boost::asio::ip::make_address("127.0.0.1"), 0}),
        thread_([this, script] { Serve(script); }) {}
  ~FakeProvider() {
    // The accept that is waiting gets a last connection, which it takes as the sign to end.
    stopping_ = true;
    boost::system::error_code error;
    Socket wake(io_);
    wake.connect(acceptor_.local_endpoint(), error);
    thread_.join();
  }
  FakeProvider(const FakeProvider&) = delete;
  FakeProvider& operator=(const FakeProvider&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }

  static void Send(Socket& socket, const std::string& bytes) {
    boost::system::error_code error;
    boost::asio::write(socket, boost::asio::buffer(bytes), error);
  }
  // A whole answer.
  static void Answer(Socket& socket, const std::string& status, const std::string& body,
                     const std::string& headers = "") {
    Send(socket, "HTTP/1.1 " + status + "\r\n" + headers + "Content-Length: " + std::to_string(body.size()) +
                     "\r\n\r\n" + body);
  }
  static std::string Chunk(const std::string& bytes) {
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    return size + bytes + "\r\n";
  }
  // Returns when the other side has closed.
  static void AwaitClosed(Socket& socket) {
    boost::system::error_code error;
    char byte = 0;
    boost::asio::read(socket, boost::asio::buffer(&byte, 1), error);
  }

 private:
  void Serve(const Script& script) {
    while (true) {
      boost::system::error_code error;
      Socket socket(io_);
      acceptor_.accept(socket, error);
      if (error || stopping_) return;
      boost::beast::flat_buffer buffer;
      Request request;
      boost::beast::http::read(socket, buffer, request, error);
      if (!error) script(request, socket);
    }
  }

  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace pondpilot::proxy::ai
