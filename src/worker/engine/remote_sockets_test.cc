#include "worker/engine/remote_sockets.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <thread>

#include "worker/engine/call_gate.h"

namespace pondpilot::worker::engine {
namespace {

struct Pair {
  int listener = -1;
  int client = -1;
  int accepted = -1;
  uint16_t port = 0;
};

Pair Connect() {
  Pair pair;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  pair.listener = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::bind(pair.listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(pair.listener, 1), 0);
  EXPECT_EQ(::getsockname(pair.listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  pair.port = ntohs(address.sin_port);
  pair.client = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(pair.client, reinterpret_cast<sockaddr*>(&address), size), 0);
  pair.accepted = ::accept(pair.listener, nullptr, nullptr);
  EXPECT_GE(pair.accepted, 0);
  // A test that fails ends nevertheless.
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  EXPECT_EQ(::setsockopt(pair.client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
  return pair;
}

void Close(const Pair& pair) {
  for (const int fd : {pair.accepted, pair.client, pair.listener}) ::close(fd);
}

TEST(RemoteSocketsTest, EndsAReadThatWaitsForItsServer) {
  const Pair pair = Connect();
  ssize_t got = -2;
  std::jthread reader([&] {
    char byte = 0;
    got = ::recv(pair.client, &byte, 1, 0);
  });
  EXPECT_EQ(ShutDownRemoteSockets({pair.port}), 1u);
  reader.join();
  EXPECT_EQ(got, 0);
  Close(pair);
}

TEST(RemoteSocketsTest, LeavesOtherPortsAndAcceptedConnectionsAlone) {
  const Pair pair = Connect();
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(pair.client, reinterpret_cast<sockaddr*>(&address), &size), 0);
  EXPECT_EQ(ShutDownRemoteSockets({}), 0u);
  EXPECT_EQ(ShutDownRemoteSockets({1}), 0u);
  // As if a database listened on the port that a client of ours happens to come from.
  EXPECT_EQ(ShutDownRemoteSockets({ntohs(address.sin_port)}), 0u);
  EXPECT_EQ(::send(pair.client, "x", 1, MSG_NOSIGNAL), 1);
  Close(pair);
}

int Option(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, option, &value, &size), 0);
  return value;
}

TEST(RemoteSocketsTest, BoundsTheSilenceOfServersOnce) {
  const Pair pair = Connect();
  EXPECT_EQ(BoundSilence({1}), 0u);
  EXPECT_EQ(Option(pair.client, SOL_SOCKET, SO_KEEPALIVE), 0);
  EXPECT_EQ(BoundSilence({pair.port}), 1u);
  EXPECT_EQ(Option(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(Option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), kKeepAliveIdleSeconds);
  EXPECT_EQ(Option(pair.client, IPPROTO_TCP, TCP_KEEPCNT), kKeepAliveProbes);
  EXPECT_EQ(Option(pair.client, IPPROTO_TCP, TCP_USER_TIMEOUT), kUnansweredMs);
  EXPECT_EQ(Option(pair.accepted, SOL_SOCKET, SO_KEEPALIVE), 0) << "what was accepted is not ours to bound";
  EXPECT_EQ(BoundSilence({pair.port}), 0u) << "it has its bounds";
  EXPECT_EQ(::send(pair.client, "x", 1, MSG_NOSIGNAL), 1);
  Close(pair);
}

TEST(CallGateTest, HitsTheCallThatWasMeantAndNoLaterOne) {
  CallGate gate;
  EXPECT_EQ(gate.Current(), 0u);
  uint64_t first = 0;
  int hits = 0;
  {
    const CallGate::Inside inside(gate);
    first = gate.Current();
    EXPECT_TRUE(gate.IfStillInside(first, [&] { ++hits; }));
  }
  EXPECT_FALSE(gate.IfStillInside(first, [&] { ++hits; }));
  const CallGate::Inside next(gate);
  EXPECT_FALSE(gate.IfStillInside(first, [&] { ++hits; }));
  EXPECT_FALSE(gate.IfStillInside(0, [&] { ++hits; }));
  EXPECT_EQ(hits, 1);
}

}  // namespace
}  // namespace pondpilot::worker::engine
