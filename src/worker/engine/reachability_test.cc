#include "worker/engine/reachability.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "worker/engine/tcp_forwarder.h"

namespace pondpilot::worker::engine {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

// A server that takes one connection, reads the request, and answers or ends it.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      const int client = ::accept(listener_, nullptr, nullptr);
      char request[8] = {};
      size_t read = 0;
      while (read < sizeof request) {
        const ssize_t more = ::recv(client, request + read, sizeof request - read, 0);
        if (more <= 0) break;
        read += static_cast<size_t>(more);
      }
      request_.assign(request, read);
      (void)::send(client, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      ::close(client);
    });
  }
  ~OneAnswer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  OneAnswer(const OneAnswer&) = delete;
  OneAnswer& operator=(const OneAnswer&) = delete;

  uint16_t port() const { return port_; }
  std::string Request() {
    thread_.join();
    thread_ = std::thread([] {});
    return request_;
  }

 private:
  std::string answer_;
  std::string request_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::thread thread_;
};

std::string ReasonOf(const std::string& host, uint16_t port) {
  const auto answers = CheckPostgresAnswers(host, port, milliseconds(200));
  return answers ? "answers" : answers.error().message;
}

TEST(ReachabilityTest, AServerThatAnswers) {
  for (const char* answer : {"S", "N", "E"}) {
    OneAnswer server(answer);
    EXPECT_EQ(ReasonOf("127.0.0.1", server.port()), "answers");
    EXPECT_EQ(server.Request(), std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8));
  }
}

TEST(ReachabilityTest, AServerThatEndsTheConnection) {
  OneAnswer server("");
  EXPECT_THAT(ReasonOf("127.0.0.1", server.port()), HasSubstr("ends the connection"));
}

TEST(ReachabilityTest, AServerThatSaysNothing) {
  TcpForwarder silent("127.0.0.1", 0);
  EXPECT_THAT(ReasonOf("127.0.0.1", silent.port()), HasSubstr("nothing listens"));
  silent.Listen();
  EXPECT_THAT(ReasonOf("127.0.0.1", silent.port()), HasSubstr("does not answer"));
}

TEST(ReachabilityTest, ANameThatIsNone) {
  EXPECT_THAT(ReasonOf("no-such-host.invalid", 5432), HasSubstr("not known"));
}

}  // namespace
}  // namespace pondpilot::worker::engine
