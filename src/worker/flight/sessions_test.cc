// Session options, and statements that are polled for, cancelled or renewed.
#include <gmock/gmock.h>

#include "worker/flight/flight_fixture.h"
#include "worker/session/eventually.h"

namespace pondpilot::worker::flight {
namespace {

using session::Eventually;
using testing::HasSubstr;

constexpr char kEndless[] =
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1";

using SessionTest = FlightTest;

TEST_F(SessionTest, OptionsAreSettings) {
  const auto options = Loopback::AsProxy("optional");
  ASSERT_TRUE(Sql("CREATE SCHEMA IF NOT EXISTS chosen", "optional").ok());
  const auto set = sql_.SetSessionOptions(
      options, fl::SetSessionOptionsRequest({{"schema", "chosen"},
                                             {"TimeZone", "Europe/Berlin"},
                                             {"memory_limit", "1TB"},
                                             {"no_such_option", int64_t{1}},
                                             {"bad name; DROP", true},
                                             {"default_null_order", std::vector<std::string>{"a"}}}));
  ASSERT_TRUE(set.ok()) << set.status().ToString();
  EXPECT_FALSE(set->errors.contains("schema"));
  EXPECT_FALSE(set->errors.contains("TimeZone"));
  EXPECT_TRUE(set->errors.contains("memory_limit"));
  EXPECT_EQ(set->errors.at("no_such_option").value, fl::SetSessionOptionErrorValue::kInvalidName);
  EXPECT_EQ(set->errors.at("bad name; DROP").value, fl::SetSessionOptionErrorValue::kInvalidName);
  EXPECT_EQ(set->errors.at("default_null_order").value, fl::SetSessionOptionErrorValue::kInvalidValue);
  EXPECT_EQ(Value(Sql("SELECT current_schema() || current_setting('TimeZone')", "optional")),
            "chosenEurope/Berlin");
  const auto got = sql_.GetSessionOptions(options, {});
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ(std::get<std::string>(got->session_options.at("schema")), "chosen");
  EXPECT_EQ(std::get<std::string>(got->session_options.at("TimeZone")), "Europe/Berlin");
  EXPECT_EQ(std::get<std::string>(got->session_options.at("catalog")), "memory");
  EXPECT_FALSE(got->session_options.contains("memory_limit"));
  const auto reset =
      sql_.SetSessionOptions(options, fl::SetSessionOptionsRequest({{"TimeZone", std::monostate()}}));
  ASSERT_TRUE(reset.ok());
  EXPECT_TRUE(reset->errors.empty());
  EXPECT_THAT(Value(Sql("SELECT current_setting('TimeZone')", "optional")), HasSubstr("UTC"));
  const auto catalog =
      sql_.SetSessionOptions(options, fl::SetSessionOptionsRequest({{"catalog", "nowhere"}}));
  ASSERT_TRUE(catalog.ok()) << catalog.status().ToString();
  EXPECT_TRUE(catalog->errors.contains("catalog"));
  ASSERT_TRUE(sql_.CloseSession(options, {}).ok());
  EXPECT_EQ(Value(Sql("SELECT current_schema()", "optional")), "main");
}

TEST_F(SessionTest, AStatementIsPolledToItsEnd) {
  const auto options = Loopback::AsProxy();
  const auto slow = fl::FlightDescriptor::Command(
      "SELECT count(*) AS n FROM range(10000) a, range(10000) b WHERE (a.range * b.range) % 7 = 3");
  auto poll = client_->PollFlightInfo(options, slow);
  ASSERT_TRUE(poll.ok()) << poll.status().ToString();
  for (int i = 0; i < 60 && (*poll)->descriptor; ++i) {
    EXPECT_TRUE((*poll)->expiration_time.has_value());
    if ((*poll)->progress) {
      EXPECT_GE(*(*poll)->progress, 0.0);
      EXPECT_LE(*(*poll)->progress, 1.0);
    }
    poll = client_->PollFlightInfo(options, *(*poll)->descriptor);
    ASSERT_TRUE(poll.ok()) << poll.status().ToString();
  }
  ASSERT_FALSE((*poll)->descriptor.has_value());
  ASSERT_NE((*poll)->info, nullptr);
  EXPECT_EQ(Value(Read(*(*poll)->info, options)).find("error"), std::string::npos);
}

TEST_F(SessionTest, FlightSqlIsPolledForAsWell) {
  const auto options = Loopback::AsProxy();
  const auto poll = client_->PollFlightInfo(
      options, fl::FlightDescriptor::Command(Any("CommandStatementQuery", "\x0a\x09SELECT 42")));
  ASSERT_TRUE(poll.ok()) << poll.status().ToString();
  ASSERT_FALSE((*poll)->descriptor.has_value());
  EXPECT_EQ(Value(Read(*(*poll)->info, options)), "42");
  const auto failed = client_->PollFlightInfo(options, fl::FlightDescriptor::Command("SELECT nothing_here"));
  EXPECT_THAT(failed.status().message(), HasSubstr("nothing_here"));
  EXPECT_TRUE(client_->PollFlightInfo(options, fl::FlightDescriptor::Command("pondpilot:poll:s0000"))
                  .status()
                  .IsKeyError());
}

TEST_F(SessionTest, WhatIsPolledForCanBeCancelled) {
  const auto options = Loopback::AsProxy();
  const auto poll = client_->PollFlightInfo(options, fl::FlightDescriptor::Command(kEndless));
  ASSERT_TRUE(poll.ok()) << poll.status().ToString();
  ASSERT_TRUE((*poll)->descriptor.has_value());
  EXPECT_GE(server_.runner().activity().Get().running_statements, 1u);
  fl::CancelFlightInfoRequest request(std::make_unique<fl::FlightInfo>(*(*poll)->info));
  const auto cancelled = sql_.CancelFlightInfo(options, request);
  ASSERT_TRUE(cancelled.ok()) << cancelled.status().ToString();
  EXPECT_EQ(cancelled->status, fl::CancelStatus::kCancelled);
  EXPECT_TRUE(Eventually([&] { return server_.runner().activity().Get().running_statements == 0; }));
  EXPECT_TRUE(client_->PollFlightInfo(options, *(*poll)->descriptor).status().IsKeyError());
  EXPECT_EQ(sql_.CancelFlightInfo(options, request)->status, fl::CancelStatus::kNotCancellable);
}

TEST_F(SessionTest, CancelStopsTheStatementOfItsTicketOnly) {
  const auto options = Loopback::AsProxy();
  const std::string large = "SELECT range, repeat('x', 100) FROM range(100000000)";
  const auto first = client_->GetFlightInfo(options, fl::FlightDescriptor::Command(large));
  const auto second = client_->GetFlightInfo(options, fl::FlightDescriptor::Command(large));
  ASSERT_TRUE(first.ok() && second.ok());
  auto reader = client_->DoGet(options, (*first)->endpoints()[0].ticket);
  ASSERT_TRUE(reader.ok() && (*reader)->Next().ok());
  fl::CancelFlightInfoRequest request(std::make_unique<fl::FlightInfo>(**first));
  EXPECT_EQ(sql_.CancelFlightInfo(options, request)->status, fl::CancelStatus::kCancelled);
  arrow::Status ended;
  while (ended.ok()) {
    const auto chunk = (*reader)->Next();
    ended = chunk.status();
    if (chunk.ok() && chunk->data == nullptr) break;
  }
  EXPECT_EQ(CodeOf(ended), fl::FlightStatusCode::Cancelled) << ended.ToString();
  auto other = client_->DoGet(options, (*second)->endpoints()[0].ticket);
  ASSERT_TRUE(other.ok());
  EXPECT_TRUE((*other)->Next().ok());
  (*other)->Cancel();
}

TEST_F(SessionTest, AnEndpointIsRenewedWhileItIsUnread) {
  const auto options = Loopback::AsProxy();
  const auto info = client_->GetFlightInfo(options, fl::FlightDescriptor::Command("SELECT 42"));
  ASSERT_TRUE(info.ok());
  const auto renewed =
      client_->RenewFlightEndpoint(options, fl::RenewFlightEndpointRequest((*info)->endpoints()[0]));
  ASSERT_TRUE(renewed.ok()) << renewed.status().ToString();
  EXPECT_EQ(renewed->ticket.ticket, (*info)->endpoints()[0].ticket.ticket);
  EXPECT_TRUE(renewed->expiration_time.has_value());
  EXPECT_EQ(Value(Read(**info, options)), "42");
  EXPECT_TRUE(client_->RenewFlightEndpoint(options, fl::RenewFlightEndpointRequest((*info)->endpoints()[0]))
                  .status()
                  .IsKeyError());
  EXPECT_TRUE(
      client_->RenewFlightEndpoint(options, fl::RenewFlightEndpointRequest({{"junk"}, {}, std::nullopt, ""}))
          .status()
          .IsInvalid());
}

}  // namespace
}  // namespace pondpilot::worker::flight
