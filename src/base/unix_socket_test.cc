#include "base/unix_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/temporary_folder.h"

namespace pondpilot::base {
namespace {

std::pair<Descriptor, Descriptor> Connected() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

bool IsOpen(int descriptor) { return ::fcntl(descriptor, F_GETFD) != -1; }

TEST(DescriptorTest, IsClosedOnceByItsLastOwner) {
  auto [first, second] = Connected();
  const int number = first.get();
  {
    Descriptor taken(std::move(first));
    EXPECT_TRUE(IsOpen(number));
    taken = std::move(second);
    EXPECT_FALSE(IsOpen(number));
  }
  EXPECT_FALSE(Descriptor().valid());
}

TEST(UnixAddressTest, APathThatDoesNotFitIsNone) {
  EXPECT_TRUE(UnixAddress("/run/s"));
  EXPECT_TRUE(UnixAddress(std::string(sizeof(sockaddr_un::sun_path) - 1, 's')));
  EXPECT_FALSE(UnixAddress(std::string(sizeof(sockaddr_un::sun_path), 's')));
  EXPECT_FALSE(UnixAddress(""));
}

TEST(UnixSocketTest, ListensWhereOthersConnect) {
  const TemporaryFolder folder;
  EXPECT_FALSE(ConnectUnix(folder / "s").valid());
  EXPECT_EQ(errno, ENOENT);
  Descriptor listening = ListenUnix(folder / "s", 4);
  ASSERT_TRUE(listening.valid());
  EXPECT_TRUE(ConnectUnix(folder / "s").valid());
  EXPECT_FALSE(ListenUnix(folder / "s", 4).valid());
  EXPECT_EQ(errno, EADDRINUSE);
  listening.Close();
  EXPECT_FALSE(ConnectUnix(folder / "s").valid());
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST(DescriptorPassingTest, TheReceiverHasOneOfItsOwn) {
  const auto [sender, receiver] = Connected();
  auto [sent, other_end] = Connected();
  ASSERT_TRUE(SendDescriptor(sender.get(), sent.get()));
  sent.Close();
  const Descriptor received = ReceiveDescriptor(receiver.get());
  ASSERT_TRUE(received.valid());
  EXPECT_NE(::fcntl(received.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(::write(other_end.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(received.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
}

TEST(DescriptorPassingTest, NothingABareByteAndAnEndAreNoDescriptor) {
  auto [sender, receiver] = Connected();
  EXPECT_FALSE(ReceiveDescriptor(receiver.get()).valid()) << "nothing was sent";
  EXPECT_EQ(::write(sender.get(), "x", 1), 1);
  EXPECT_FALSE(ReceiveDescriptor(receiver.get()).valid()) << "a byte alone";
  sender.Close();
  EXPECT_FALSE(ReceiveDescriptor(receiver.get()).valid()) << "the sender has gone";
  EXPECT_FALSE(SendDescriptor(receiver.get(), receiver.get()));
}

}  // namespace
}  // namespace pondpilot::base
