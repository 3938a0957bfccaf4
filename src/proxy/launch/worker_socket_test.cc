#include "proxy/launch/worker_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <cstring>
#include <filesystem>
#include <future>

namespace pondpilot::proxy::launch {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;

class WorkerSocketTest : public ::testing::Test {
 protected:
  WorkerSocketTest() {
    folder_ = (std::filesystem::temp_directory_path() / "pondpilot-socket-XXXXXX").string();
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  ~WorkerSocketTest() override { std::filesystem::remove_all(folder_); }

  std::string Path() const { return folder_ + "/s"; }

  // A connected descriptor, or -1.
  int Connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, Path().c_str(), Path().size() + 1);
    const int connection = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
      return connection;
    ::close(connection);
    return -1;
  }

  // The descriptor that waits on the connection, or -1.
  static int Receive(int connection) {
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(connection, &message, MSG_DONTWAIT) != 1 || CMSG_FIRSTHDR(&message) == nullptr) return -1;
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    return descriptor;
  }

  std::future<bool> Begin(WorkerSocket& socket, milliseconds timeout) {
    context_.restart();
    return asio::co_spawn(context_, socket.HandOver(timeout), asio::use_future);
  }

  std::string folder_;
  asio::io_context context_;
};

TEST_F(WorkerSocketTest, WhoAsksIsGivenTheSocketAndAcceptsOnItFromThenOn) {
  auto socket = WorkerSocket::Listen(Path());
  ASSERT_TRUE(socket) << socket.error().message;
  EXPECT_EQ(std::filesystem::status(Path()).permissions(), std::filesystem::perms::all);
  auto handed = Begin(**socket, seconds(30));
  const int worker = Connect();
  ASSERT_GE(worker, 0);
  context_.run();
  EXPECT_TRUE(handed.get());
  const int listening = Receive(worker);
  ASSERT_GE(listening, 0);
  socket->reset();  // the proxy has no part in it any more
  const int client = Connect();
  ASSERT_GE(client, 0);
  const int accepted = ::accept(listening, nullptr, nullptr);
  ASSERT_GE(accepted, 0);
  EXPECT_EQ(::write(client, "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(accepted, &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  for (const int descriptor : {worker, listening, client, accepted}) ::close(descriptor);
}

TEST_F(WorkerSocketTest, NobodyAsks) {
  auto socket = WorkerSocket::Listen(Path());
  ASSERT_TRUE(socket);
  auto handed = Begin(**socket, milliseconds(30));
  context_.run();
  EXPECT_FALSE(handed.get());
  // It can still be had afterwards.
  auto again = Begin(**socket, seconds(30));
  const int worker = Connect();
  context_.run();
  EXPECT_TRUE(again.get());
  ::close(worker);
}

TEST_F(WorkerSocketTest, OneThatWasNotHandedOverAnswersNobody) {
  auto socket = WorkerSocket::Listen(Path());
  ASSERT_TRUE(socket);
  socket->reset();
  EXPECT_EQ(Connect(), -1);
}

TEST_F(WorkerSocketTest, APathThatWillNotDoIsAnError) {
  EXPECT_FALSE(WorkerSocket::Listen(folder_ + "/missing/s"));
  EXPECT_FALSE(WorkerSocket::Listen(folder_ + "/" + std::string(200, 's')));
  const auto first = WorkerSocket::Listen(Path());
  EXPECT_TRUE(first);
  EXPECT_FALSE(WorkerSocket::Listen(Path())) << "taken";
}

}  // namespace
}  // namespace pondpilot::proxy::launch
