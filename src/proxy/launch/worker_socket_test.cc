#include "proxy/launch/worker_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <future>

#include "base/temporary_folder.h"
#include "base/unix_socket.h"

namespace pondpilot::proxy::launch {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;

class WorkerSocketTest : public ::testing::Test {
 protected:
  std::string Path() const { return folder_ / "s"; }

  std::future<bool> Begin(WorkerSocket& socket, milliseconds timeout) {
    context_.restart();
    return asio::co_spawn(context_, socket.HandOver(timeout), asio::use_future);
  }

  const base::TemporaryFolder folder_;
  asio::io_context context_;
};

TEST_F(WorkerSocketTest, WhoAsksIsGivenTheSocketAndAcceptsOnItFromThenOn) {
  auto socket = WorkerSocket::Listen(Path());
  ASSERT_TRUE(socket) << socket.error().message;
  EXPECT_EQ(std::filesystem::status(Path()).permissions(), std::filesystem::perms::all);
  auto handed = Begin(**socket, seconds(30));
  const base::Descriptor worker = base::ConnectUnix(Path());
  ASSERT_TRUE(worker.valid());
  context_.run();
  EXPECT_TRUE(handed.get());
  const base::Descriptor listening = base::ReceiveDescriptor(worker.get());
  ASSERT_TRUE(listening.valid());
  socket->reset();  // the proxy has no part in it any more
  const base::Descriptor client = base::ConnectUnix(Path());
  ASSERT_TRUE(client.valid());
  const base::Descriptor accepted(::accept(listening.get(), nullptr, nullptr));
  ASSERT_TRUE(accepted.valid());
  EXPECT_EQ(::write(client.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(accepted.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(WorkerSocketTest, NobodyAsks) {
  auto socket = WorkerSocket::Listen(Path());
  ASSERT_TRUE(socket);
  auto handed = Begin(**socket, milliseconds(30));
  context_.run();
  EXPECT_FALSE(handed.get());
  // It can still be had afterwards.
  auto again = Begin(**socket, seconds(30));
  const base::Descriptor worker = base::ConnectUnix(Path());
  context_.run();
  EXPECT_TRUE(again.get());
}

TEST_F(WorkerSocketTest, OneThatWasNotHandedOverAnswersNobody) {
  auto socket = WorkerSocket::Listen(Path());
  ASSERT_TRUE(socket);
  socket->reset();
  EXPECT_FALSE(base::ConnectUnix(Path()).valid());
}

TEST_F(WorkerSocketTest, APathThatWillNotDoIsAnError) {
  EXPECT_FALSE(WorkerSocket::Listen(folder_ / "missing/s"));
  EXPECT_FALSE(WorkerSocket::Listen(folder_ / std::string(200, 's')));
  const auto first = WorkerSocket::Listen(Path());
  EXPECT_TRUE(first);
  EXPECT_FALSE(WorkerSocket::Listen(Path())) << "taken";
}

}  // namespace
}  // namespace pondpilot::proxy::launch
