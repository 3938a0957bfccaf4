#include "jail/jailer/wire.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>

namespace pondpilot::jail {
namespace {

class WireTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    one_ = base::Descriptor(ends[0]);
    other_ = base::Descriptor(ends[1]);
  }

  base::Descriptor one_;
  base::Descriptor other_;
};

TEST_F(WireTest, AMessageArrivesWithItsFieldsAndItsDescriptor) {
  Message message{"launch", {}};
  message.Add("id", "w1").Add("file", "/a=b").Add("file", "/c").Add("memory", 12U).Add("empty", "");
  const base::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(Send(one_.get(), message, null.get()));
  const auto received = Receive(other_.get());
  ASSERT_TRUE(received);
  EXPECT_EQ(received->message.verb, "launch");
  EXPECT_EQ(*received->message.Find("id"), "w1");
  EXPECT_EQ(received->message.All("file"), (std::vector<std::string>{"/a=b", "/c"}));
  EXPECT_EQ(received->message.Number("memory"), 12U);
  EXPECT_EQ(*received->message.Find("empty"), "");
  EXPECT_EQ(received->message.Find("other"), nullptr);
  EXPECT_EQ(received->message.Number("id"), std::nullopt);
  EXPECT_TRUE(received->descriptor.valid());
}

TEST_F(WireTest, WhatCanForgeAFieldIsNotSent) {
  for (const auto& [message, why] :
       {std::pair(Message{"launch", {}}.Add("file", "/a\nuser=0"), EINVAL),
        std::pair(Message{"launch", {}}.Add("file", std::string("/a\0b", 4)), EINVAL),
        std::pair(Message{"", {}}, EINVAL),
        std::pair(Message{"launch", {}}.Add("file", std::string(kMaxMessageBytes, 'x')), EMSGSIZE)}) {
    EXPECT_FALSE(CanBeSent(message));
    errno = ENOTTY;
    EXPECT_FALSE(Send(one_.get(), message));
    EXPECT_EQ(errno, why) << "not what an earlier call has left";
  }
}

TEST_F(WireTest, AnythingIsAMessageAndNothingBreaks) {
  for (const std::string& text :
       {std::string("\n\n\n"), std::string("=\n=="), std::string(1, '\0'), std::string("a\nb")}) {
    ASSERT_EQ(::send(one_.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    EXPECT_TRUE(Receive(other_.get()));
  }
  one_.Close();
  const auto end = Receive(other_.get());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error(), "");
}

TEST_F(WireTest, AReportComesBackAsItWas) {
  Report report;
  report.Applied(Layer::kSeccomp);
  report.Denied(Layer::kCgroup, "read-only: + and - are allowed here");
  EXPECT_EQ(DecodeReport(Encode(report)), report);
  EXPECT_EQ(DecodeReport(""), std::nullopt);
  EXPECT_EQ(DecodeReport("+|+|"), std::nullopt);
  EXPECT_EQ(DecodeReport(Encode(report) + "+|"), std::nullopt);
  report.Denied(Layer::kUser, "a|b\nc");
  EXPECT_EQ((*DecodeReport(Encode(report)))[Layer::kUser].reason, "a b c");
}

}  // namespace
}  // namespace pondpilot::jail
