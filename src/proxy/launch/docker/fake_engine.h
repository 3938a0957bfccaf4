#pragma once

#include <unistd.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/secret.h"

namespace pondpilot::proxy::launch::docker {

// For tests: runs a coroutine to its end.
template <typename T>
T Await(boost::asio::awaitable<T> work) {
  boost::asio::io_context context;
  auto future = boost::asio::co_spawn(context, std::move(work), boost::asio::use_future);
  context.run();
  return future.get();
}

// For tests: an engine on a Unix socket of its own that answers as it is told and remembers what it was
// asked.
class FakeEngine {
 public:
  struct Reply {
    int status = 200;
    std::string body = {};
    bool hang_up = false;  // closes without an answer
    bool silent = false;   // never answers
  };
  struct Request {
    std::string line;  // "GET /v1.41/networks"
    std::string body;
  };

  explicit FakeEngine(std::string api_version = "1.41")
      : path_("/tmp/fake-engine-" + base::RandomHex(6) + ".sock"),
        api_version_(std::move(api_version)),
        acceptor_(context_, boost::asio::local::stream_protocol::endpoint(path_)),
        thread_([this] { Serve(); }) {}

  ~FakeEngine() {
    ending_ = true;
    // The last connection wakes the acceptor.
    boost::asio::local::stream_protocol::socket wake(context_);
    boost::system::error_code ignored;
    wake.connect(boost::asio::local::stream_protocol::endpoint(path_), ignored);
    thread_.join();
    ::unlink(path_.c_str());
  }

  // Answers to a request line, in their order; the last one stays.
  void On(const std::string& line, std::vector<Reply> replies) {
    const std::scoped_lock lock(mutex_);
    script_[line] = {replies.begin(), replies.end()};
  }

  std::vector<Request> Requests() const {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }
  // The body of the last request whose line begins so; "absent" when there was none.
  std::string BodyOf(const std::string& line) const {
    std::string body = "absent";
    for (const Request& request : Requests()) {
      if (request.line.starts_with(line)) body = request.body;
    }
    return body;
  }
  size_t Count(const std::string& line) const {
    size_t count = 0;
    for (const Request& request : Requests()) count += request.line.starts_with(line) ? 1 : 0;
    return count;
  }

  const std::string& path() const { return path_; }

 private:
  using Socket = boost::asio::local::stream_protocol::socket;

  void Serve() {
    std::vector<Socket> silent;
    while (true) {
      Socket socket(context_);
      boost::system::error_code error;
      acceptor_.accept(socket, error);
      if (ending_ || error) return;
      if (Answer(socket)) silent.push_back(std::move(socket));
    }
  }

  // True when the connection is to stay open without an answer.
  bool Answer(Socket& socket) {
    namespace http = boost::beast::http;
    boost::beast::flat_buffer buffer;
    http::request<http::string_body> request;
    boost::system::error_code error;
    http::read(socket, buffer, request, error);
    if (error) return false;
    const std::string line = std::string(request.method_string()) + " " + std::string(request.target());
    Reply reply{404, R"({"message":"not in the script: )" + line + "\"}"};
    {
      const std::scoped_lock lock(mutex_);
      requests_.push_back({line, request.body()});
      if (line == "GET /_ping") reply = {200, "OK"};
      if (const auto found = script_.find(line); found != script_.end() && !found->second.empty()) {
        reply = found->second.front();
        if (found->second.size() > 1) found->second.pop_front();
      }
    }
    if (reply.silent) return true;
    if (reply.hang_up) return false;
    http::response<http::string_body> response(static_cast<http::status>(reply.status), 11);
    if (!api_version_.empty()) response.set("Api-Version", api_version_);
    if (reply.status != 204 && reply.status != 304) response.body() = reply.body;
    response.prepare_payload();
    http::write(socket, response, error);
    return false;
  }

  const std::string path_;
  const std::string api_version_;
  boost::asio::io_context context_;
  boost::asio::local::stream_protocol::acceptor acceptor_;
  mutable std::mutex mutex_;
  std::map<std::string, std::deque<Reply>> script_;
  std::vector<Request> requests_;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

}  // namespace pondpilot::proxy::launch::docker
