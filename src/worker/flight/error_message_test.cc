#include "worker/flight/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"

namespace pondpilot::worker::flight {
namespace {

using base::ErrorCode;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

arrow::Status Of(ErrorCode code, std::string message = "what to do") {
  return ToArrowStatus({code, std::move(message), "an inside detail", std::nullopt});
}

TEST(ErrorMessage, OnlyThePublicMessageGoesOut) {
  EXPECT_EQ(Of(ErrorCode::kInvalidArgument).message(), "what to do");
  EXPECT_THAT(Of(ErrorCode::kInternal).ToString(), testing::Not(HasSubstr("inside")));
}

TEST(ErrorMessage, AnOrdinaryMessageStaysAsItIs) {
  const std::string message =
      "Parser Error: syntax error\n\nLINE 1: SELCT 1\n        ^ " + std::string(1000, 'x');
  EXPECT_EQ(Of(ErrorCode::kInvalidArgument, message).message(), message);
}

TEST(ErrorMessage, OfALongMessageBothEndsStay) {
  const std::string message =
      "Conversion Error: could not convert " + std::string(3'000'000, 'x') + " to INT32. LINE 1";
  const std::string sent = Of(ErrorCode::kInvalidArgument, message).message();
  EXPECT_LT(sent.size(), 3000u);
  EXPECT_GT(sent.size(), 1000u);
  EXPECT_THAT(sent, StartsWith("Conversion Error: could not convert xxx"));
  EXPECT_THAT(sent, HasSubstr(" [...] "));
  EXPECT_THAT(sent, EndsWith("to INT32. LINE 1"));
}

TEST(ErrorMessage, CharactersAreNotCutAndCountAsTheyAreSent) {
  for (const std::string character : {"é", "€", "😀", "\n", "%"}) {
    for (size_t shift = 0; shift < 4; ++shift) {
      std::string message(shift, 'a');
      for (int i = 0; i < 20'000; ++i) message += character;
      const std::string sent = Of(ErrorCode::kInvalidArgument, message).message();
      EXPECT_TRUE(base::IsUtf8(sent)) << character << " " << shift;
      // The characters take five bytes each: three percent-encoded and two as base64; plain ones one and two.
      const size_t plain = std::string_view(" [...] ").size() + shift;
      EXPECT_LE((sent.size() - plain) * 5 + plain * 3, kMaxEncodedMessageBytes) << character << " " << shift;
    }
  }
}

}  // namespace
}  // namespace pondpilot::worker::flight
