// Who is served on calls of DuckDB's airport extension, which sends a token on some and an identifier on
// others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "contract/names.h"
#include "proxy/auth/call_identifier.h"
#include "proxy/grpc/relay_fixture.h"

namespace pondpilot::proxy::grpc {
namespace {

using ::grpc::StatusCode;
using ::testing::HasSubstr;

class RelayAirportTest : public RelayTest {
 protected:
  std::string IdentifierOf(const std::string& user, std::chrono::seconds left = std::chrono::minutes(5)) {
    auth::Principal principal;
    principal.user_id = user;
    principal.expires_at = base::Clock::System().WallNow() + left;
    return auth::CallIdentifiers(kIdentifierKey, base::Clock::System()).Issue(principal);
  }
  // The first message of an action's answer; the fixture's worker does what the first message says.
  ::grpc::Status Call(::grpc::ClientContext& context, const std::string& method,
                      const std::string& message = "echo") {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    Stream stream(*this, context, method);
    stream.Write(message);
    stream.HalfClose();
    std::string reply;
    stream.Read(&reply);
    return stream.Finish();
  }
};

TEST_F(RelayAirportTest, AnActionWithATokenBringsTheWorkerAnIdentifierOfTheUser) {
  ::grpc::ClientContext context;
  Authorize(context, "alice");
  context.AddMetadata("airport-user-agent", "airport/20250723");
  ASSERT_TRUE(Call(context, "DoAction").ok());
  const std::string given = log_.Metadata(contract::kCallIdentifierHeader);
  EXPECT_EQ(log_.Metadata(contract::kByIdentifierHeader), "");
  const auth::CallIdentifiers identifiers(kIdentifierKey, base::Clock::System());
  ASSERT_TRUE(identifiers.Verify(given).has_value());
  EXPECT_EQ(identifiers.Verify(given)->user_id, "alice");
}

TEST_F(RelayAirportTest, OtherActionsBringNone) {
  ::grpc::ClientContext context;
  Authorize(context, "alice");
  ASSERT_TRUE(Call(context, "DoAction").ok());
  EXPECT_EQ(log_.Metadata(contract::kCallIdentifierHeader), "");
}

TEST_F(RelayAirportTest, TheIdentifierDoesOnScansAndWritesAndGetsNoOther) {
  for (const char* method : {"DoAction", "DoGet", "DoExchange"}) {
    ::grpc::ClientContext context;
    context.AddMetadata("airport-user-agent", "airport/20250723");
    context.AddMetadata(contract::kAirportTransactionHeader, IdentifierOf("alice"));
    const auto status = Call(context, method);
    EXPECT_TRUE(status.ok()) << method << ": " << status.error_message();
  }
  EXPECT_EQ(log_.Metadata(contract::kByIdentifierHeader), "1");
  EXPECT_EQ(log_.Metadata(contract::kCallIdentifierHeader), "");
  EXPECT_EQ(log_.Metadata(contract::kAirportTransactionHeader), "");
}

TEST_F(RelayAirportTest, ByIdentifierNoResultIsGivenThatCameEarly) {
  {
    ::grpc::ClientContext context;
    Authorize(context, "alice");
    std::string reply;
    ASSERT_TRUE(Unary(context, "GetFlightInfo", "early", &reply).ok());
  }
  const std::string ticket =
      "\x0a\x05"
      "early";
  const auto get = [&](::grpc::ClientContext& context) {
    Stream stream(*this, context, "DoGet");
    EXPECT_TRUE(stream.Write(ticket));
    EXPECT_TRUE(stream.HalfClose());
    std::string message;
    std::string all;
    while (stream.Read(&message)) all += message + ";";
    EXPECT_TRUE(stream.Finish().ok());
    return all;
  };
  ::grpc::ClientContext by_identifier;
  by_identifier.AddMetadata("airport-user-agent", "airport/20250723");
  by_identifier.AddMetadata(contract::kAirportTransactionHeader, IdentifierOf("alice"));
  EXPECT_EQ(get(by_identifier), "messages:1;") << "the worker's own answer, which would be a refusal";
  EXPECT_EQ(log_.Metadata(contract::kByIdentifierHeader), "1");
  ::grpc::ClientContext with_token;
  Authorize(with_token, "alice");
  EXPECT_EQ(get(with_token), "schema;rows;") << "it is still there for who may have it";
}

TEST_F(RelayAirportTest, ElsewhereTheIdentifierIsWorthNothing) {
  for (const char* method : {"GetFlightInfo", "DoPut", "ListFlights", "Handshake", "PollFlightInfo"}) {
    ::grpc::ClientContext context;
    context.AddMetadata(contract::kAirportTransactionHeader, IdentifierOf("alice"));
    EXPECT_EQ(Call(context, method).error_code(), StatusCode::UNAUTHENTICATED) << method;
  }
}

TEST_F(RelayAirportTest, ForgedAndExpiredOnesAreRefused) {
  std::string forged = IdentifierOf("alice");
  forged.back() = forged.back() == '0' ? '1' : '0';
  for (const std::string& identifier :
       {forged, IdentifierOf("alice", std::chrono::seconds(-1)), TokenOf("alice"), std::string("alice")}) {
    ::grpc::ClientContext context;
    context.AddMetadata(contract::kAirportTransactionHeader, identifier);
    const auto status = Call(context, "DoGet");
    EXPECT_EQ(status.error_code(), StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(status.error_message().find(identifier.substr(0, 20)), std::string::npos);
  }
  EXPECT_EQ(log_.Count("message"), 0u);
}

TEST_F(RelayAirportTest, AnIdentifierIsNoToken) {
  ::grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + IdentifierOf("alice"));
  EXPECT_EQ(Call(context, "DoGet").error_code(), StatusCode::UNAUTHENTICATED);
}

TEST_F(RelayAirportTest, BesideATokenItMustBeTheSameUsers) {
  ::grpc::ClientContext others;
  Authorize(others, "bob");
  others.AddMetadata(contract::kAirportTransactionHeader, IdentifierOf("alice"));
  const auto refused = Call(others, "DoGet");
  EXPECT_EQ(refused.error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(refused.error_message(), HasSubstr("another user"));
  ::grpc::ClientContext own;
  Authorize(own, "bob");
  own.AddMetadata(contract::kAirportTransactionHeader, IdentifierOf("bob", std::chrono::seconds(-1)));
  EXPECT_TRUE(Call(own, "DoGet").ok());
  EXPECT_EQ(log_.Metadata(contract::kByIdentifierHeader), "");
}

TEST_F(RelayAirportTest, ABrokenTokenIsNotMadeUpForByAnIdentifier) {
  ::grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer broken");
  context.AddMetadata(contract::kAirportTransactionHeader, IdentifierOf("alice"));
  EXPECT_EQ(Call(context, "DoGet").error_code(), StatusCode::UNAUTHENTICATED);
}

TEST_F(RelayAirportTest, TwoIdentifiersAreAmbiguous) {
  ::grpc::ClientContext context;
  context.AddMetadata(contract::kAirportTransactionHeader, IdentifierOf("alice"));
  context.AddMetadata(contract::kAirportTransactionHeader, IdentifierOf("alice"));
  EXPECT_EQ(Call(context, "DoGet").error_code(), StatusCode::UNAUTHENTICATED);
}

TEST_F(RelayAirportTest, WhatAccompaniesAStatementDoesNotCount) {
  const auto act = [&](const std::string& type, bool airport) {
    ::grpc::ClientContext context;
    Authorize(context);
    if (airport) context.AddMetadata("airport-user-agent", "airport/20250723");
    // The fixture's worker waits for the end of the call.
    return Call(context, "DoAction", "\x0a" + std::string(1, static_cast<char>(type.size())) + type).ok();
  };
  EXPECT_TRUE(act("create_transaction", true));
  EXPECT_TRUE(act("catalog_version", true));
  EXPECT_TRUE(act("column_statistics", true));
  EXPECT_EQ(admitted_, 0);
  EXPECT_TRUE(act("endpoints", true));
  EXPECT_EQ(admitted_, 1);
  EXPECT_TRUE(act("list_schemas", true));
  EXPECT_EQ(admitted_, 2);
  EXPECT_TRUE(act("catalog_version", false));
  EXPECT_EQ(admitted_, 3);
  EXPECT_TRUE(act("flight_info", true));
  EXPECT_EQ(admitted_, 4);
}

TEST_F(RelayAirportTest, AGreedyUserIsRefusedWhateverTheyRun) {
  ::grpc::ClientContext context;
  Authorize(context, "greedy");
  context.AddMetadata("airport-user-agent", "airport/20250723");
  EXPECT_EQ(Call(context, "DoAction",
                 "\x0a\x09"
                 "endpoints")
                .error_code(),
            StatusCode::RESOURCE_EXHAUSTED);
}

}  // namespace
}  // namespace pondpilot::proxy::grpc
