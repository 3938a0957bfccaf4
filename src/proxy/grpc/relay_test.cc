#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "contract/names.h"
#include "proxy/grpc/relay_fixture.h"

namespace pondpilot::proxy::grpc {
namespace {

using ::testing::HasSubstr;

TEST_F(RelayTest, AUnaryCallGoesThroughWithoutTheCallersToken) {
  ::grpc::ClientContext context;
  Authorize(context);
  context.AddMetadata("x-pondpilot-connection", "forged");
  context.AddMetadata("x-custom", "kept");
  context.AddMetadata("x-request-id", "req-1");
  std::string reply;
  const ::grpc::Status status = Unary(context, "GetFlightInfo", "echo", &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply, "echo");
  EXPECT_EQ(log_.Metadata("authorization"), "");
  EXPECT_EQ(log_.Metadata("x-custom"), "kept");
  EXPECT_EQ(log_.Metadata("x-request-id"), "req-1");
  EXPECT_EQ(log_.Metadata(contract::kWorkerTokenHeader).size(), 64u);
  EXPECT_EQ(log_.Metadata(contract::kConnectionHeader).size(), 32u);
  const auto& initial = context.GetServerInitialMetadata();
  EXPECT_NE(initial.find("x-from-worker"), initial.end());
  const auto& trailing = context.GetServerTrailingMetadata();
  EXPECT_NE(trailing.find("x-arrow-status"), trailing.end());
  EXPECT_EQ(admitted_, 1);
}

TEST_F(RelayTest, TheConnectionsNameStaysWithTheConnection) {
  std::string names[2];
  for (std::string& name : names) {
    ::grpc::ClientContext context;
    Authorize(context);
    ASSERT_TRUE(Unary(context, "GetFlightInfo", "echo").ok());
    name = log_.Metadata(contract::kConnectionHeader);
  }
  EXPECT_EQ(names[0], names[1]);
}

TEST_F(RelayTest, TheSessionsCookieGoesWithTheClient) {
  ::grpc::ClientContext first;
  Authorize(first);
  ASSERT_TRUE(Unary(first, "GetFlightInfo", "echo").ok());
  const std::string name = log_.Metadata(contract::kConnectionHeader);
  const auto given = first.GetServerInitialMetadata().find("set-cookie");
  ASSERT_NE(given, first.GetServerInitialMetadata().end());
  const std::string text(given->second.data(), given->second.size());
  const std::string cookie = text.substr(0, text.find(';'));
  EXPECT_FALSE(cookie.contains("Bearer"));
  // A connection of its own, with the cookie.
  ::grpc::ChannelArguments own_connection;
  own_connection.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel_ = ::grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(relay_->port()),
                                         ::grpc::InsecureChannelCredentials(), own_connection);
  for (const auto& [user, is_same] : {std::pair("alice", true), std::pair("bob", false)}) {
    ::grpc::ClientContext next;
    Authorize(next, user);
    next.AddMetadata("cookie", cookie);
    ASSERT_TRUE(Unary(next, "GetFlightInfo", "echo").ok());
    EXPECT_EQ(log_.Metadata(contract::kConnectionHeader) == name, is_same) << user;
    EXPECT_EQ(next.GetServerInitialMetadata().contains("set-cookie"), !is_same) << user;
  }
}

TEST_F(RelayTest, RefusalsComeFromTheProxy) {
  {
    ::grpc::ClientContext context;
    EXPECT_EQ(Unary(context, "GetFlightInfo", "echo").error_code(), ::grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    ::grpc::ClientContext context;
    Authorize(context);
    context.AddMetadata("authorization", "Bearer other");
    EXPECT_EQ(Unary(context, "GetFlightInfo", "echo").error_code(), ::grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    ::grpc::ClientContext context;
    Authorize(context);
    EXPECT_EQ(Unary(context, "Nothing", "echo").error_code(), ::grpc::StatusCode::UNIMPLEMENTED);
  }
  {
    ::grpc::ClientContext context;
    Authorize(context, "greedy");
    const ::grpc::Status status = Unary(context, "GetFlightInfo", "echo");
    EXPECT_EQ(status.error_code(), ::grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(status.error_message(), "slow down");
  }
  {
    ::grpc::ClientContext context;
    Authorize(context);
    const ::grpc::Status status = Unary(context, "GetFlightInfo", std::string(17 << 20, 'x'));
    EXPECT_EQ(status.error_code(), ::grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("too large"));
  }
  EXPECT_EQ(log_.Count("message"), 0u);
}

TEST_F(RelayTest, AWorkersErrorArrivesWhole) {
  ::grpc::ClientContext context;
  Authorize(context);
  const ::grpc::Status status = Unary(context, "GetSchema", "fail");
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no such table");
  EXPECT_EQ(status.error_details(), "details");
}

TEST_F(RelayTest, ACodeThatFlightHasNotIsPutRight) {
  ::grpc::ClientContext context;
  Authorize(context);
  const ::grpc::Status status = Unary(context, "GetFlightInfo", "exhausted");
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "no memory");
  EXPECT_FALSE(context.GetServerTrailingMetadata().contains(contract::kArrowDetailTrailer));
  EXPECT_TRUE(context.GetServerTrailingMetadata().contains("x-arrow-status"));
}

TEST_F(RelayTest, AWorkerThatCantBeStartedIsAnError) {
  launcher_->fail = true;
  ::grpc::ClientContext context;
  Authorize(context, "bob");
  const ::grpc::Status status = Unary(context, "GetFlightInfo", "echo");
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), ::testing::Not(HasSubstr("no engine")));
}

TEST_F(RelayTest, AStreamArrivesWhole) {
  ::grpc::ClientContext context;
  Authorize(context);
  Stream stream(*this, context, "DoGet");
  ASSERT_TRUE(stream.Write("stream"));
  ASSERT_TRUE(stream.HalfClose());
  std::string message;
  int messages = 0;
  while (stream.Read(&message)) {
    ASSERT_EQ(message.size(), size_t{1} << 20);
    ++messages;
  }
  EXPECT_EQ(messages, 200);
  EXPECT_TRUE(stream.Finish().ok());
}

TEST_F(RelayTest, AResultThatCameEarlyIsNotAskedForAgain) {
  const std::string ticket =
      "\x0a\x05"
      "early";
  {
    ::grpc::ClientContext context;
    Authorize(context);
    std::string reply;
    ASSERT_TRUE(Unary(context, "GetFlightInfo", "early", &reply).ok());
    EXPECT_EQ(reply, "info");
    EXPECT_FALSE(context.GetServerTrailingMetadata().contains(contract::kEarlyResultTrailer));
  }
  const auto calls = log_.Count("message");
  const auto get = [&](const std::string& user) {
    ::grpc::ClientContext context;
    Authorize(context, user);
    Stream stream(*this, context, "DoGet");
    EXPECT_TRUE(stream.Write(ticket));
    EXPECT_TRUE(stream.HalfClose());
    std::string message;
    std::string all;
    while (stream.Read(&message)) all += message + ";";
    EXPECT_TRUE(stream.Finish().ok());
    return all;
  };
  EXPECT_EQ(get("bob"), "messages:1;") << "the worker's own answer";
  EXPECT_EQ(log_.Count("message"), calls + 1);
  EXPECT_EQ(get("alice"), "schema;rows;");
  EXPECT_EQ(log_.Count("message"), calls + 1) << "not the worker's";
  EXPECT_EQ(get("alice"), "messages:1;") << "given once";
}

TEST_F(RelayTest, AClientThatDoesNotReadStopsTheWorker) {
  ::grpc::ClientContext context;
  Authorize(context);
  Stream stream(*this, context, "DoGet");
  ASSERT_TRUE(stream.Write("stream"));
  ASSERT_TRUE(stream.HalfClose());
  std::string message;
  ASSERT_TRUE(stream.Read(&message));
  // Flow control holds the worker after what the windows of two connections and the read-ahead take.
  size_t before = 0;
  size_t now = log_.Count("written");
  do {
    before = now;
    log_.Await("nothing of the kind", std::chrono::milliseconds(300));
    now = log_.Count("written");
  } while (now != before);
  EXPECT_LT(now, 100u);
  context.TryCancel();
  EXPECT_TRUE(log_.Await("cancelled"));
  stream.Finish();
}

TEST_F(RelayTest, ACancelReachesTheWorker) {
  ::grpc::ClientContext context;
  Authorize(context);
  Stream stream(*this, context, "DoGet");
  ASSERT_TRUE(stream.Write("hang"));
  ASSERT_TRUE(stream.HalfClose());
  ASSERT_TRUE(log_.Await("hanging"));
  context.TryCancel();
  EXPECT_TRUE(log_.Await("cancelled"));
  EXPECT_EQ(stream.Finish().error_code(), ::grpc::StatusCode::CANCELLED);
}

TEST_F(RelayTest, ADeadlineReachesTheWorker) {
  ::grpc::ClientContext context;
  Authorize(context);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
  EXPECT_EQ(Unary(context, "GetFlightInfo", "hang").error_code(), ::grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(log_.Await("cancelled"));
}

TEST_F(RelayTest, AnUploadThatEndsIsWhole) {
  ::grpc::ClientContext context;
  Authorize(context);
  Stream stream(*this, context, "DoPut");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(stream.Write("upload"));
  ASSERT_TRUE(stream.HalfClose());
  std::string message;
  ASSERT_TRUE(stream.Read(&message));
  EXPECT_EQ(message, "messages:5");
  EXPECT_FALSE(stream.Read(&message));
  EXPECT_TRUE(stream.Finish().ok());
  EXPECT_EQ(log_.Count("end of upload"), 1u);
  EXPECT_EQ(log_.Metadata(contract::kUploadEndHeader), "marked");
}

TEST_F(RelayTest, AnUploadThatIsResetIsNotTakenForAWholeOne) {
  for (int i = 0; i < 300; ++i) {
    ::grpc::ClientContext context;
    Authorize(context);
    Stream stream(*this, context, "DoPut");
    ASSERT_TRUE(stream.Write("upload"));
    ASSERT_TRUE(log_.Await("message"));
    context.TryCancel();
    stream.Finish();
  }
  EXPECT_TRUE(log_.Await("cancelled"));
  EXPECT_EQ(log_.Count("half-close"), 0u) << "a reset reached the worker as the end of an upload";
  EXPECT_EQ(log_.Count("end of upload"), 0u);
}

TEST_F(RelayTest, AnUploadThatSaysNothingHoldsNoWorker) {
  ::grpc::ClientContext silent;
  Authorize(silent, "silent");
  Stream stream(*this, silent, "DoPut");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (admitted_ < 1 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  ASSERT_EQ(admitted_, 1);
  ::grpc::ClientContext context;
  Authorize(context);
  EXPECT_TRUE(Unary(context, "GetFlightInfo", "echo").ok());
  EXPECT_EQ(fleet_->Counts().active, 1u) << "only the one that asked for something";
  silent.TryCancel();
  stream.Finish();
}

TEST_F(RelayTest, AnUploadThatFallsSilentIsGivenUp) {
  ::grpc::ClientContext context;
  Authorize(context);
  Stream stream(*this, context, "DoPut");
  // As long as messages come, however slowly, it goes on.
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(stream.Write("upload"));
    std::this_thread::sleep_for(kUploadSilence / 4);
  }
  EXPECT_EQ(log_.Count("cancelled"), 0u);
  const auto status = stream.Finish();
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), HasSubstr("given up"));
  EXPECT_TRUE(log_.Await("cancelled"));
  EXPECT_EQ(log_.Count("half-close"), 0u);
}

TEST_F(RelayTest, HandshakeAnswersWithTheBearerHeader) {
  ::grpc::ClientContext context;
  const std::string token = TokenOf("alice");
  context.AddMetadata("authorization", "Bearer " + token);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  Stream stream(*this, context, "Handshake");
  // There are clients that wait for it.
  std::string message = "none";
  ASSERT_TRUE(stream.Read(&message));
  EXPECT_EQ(message, "");
  ASSERT_TRUE(stream.Finish().ok());
  const auto& initial = context.GetServerInitialMetadata();
  const auto found = initial.find("authorization");
  ASSERT_NE(found, initial.end());
  EXPECT_EQ(std::string(found->second.data(), found->second.size()), "Bearer " + token);
}

TEST_F(RelayTest, ShutdownEndsCallsThatDoNotEnd) {
  ::grpc::ClientContext context;
  Authorize(context);
  Stream stream(*this, context, "DoGet");
  ASSERT_TRUE(stream.Write("hang"));
  ASSERT_TRUE(stream.HalfClose());
  ASSERT_TRUE(log_.Await("hanging"));
  relay_->Shutdown(std::chrono::milliseconds(100));
  EXPECT_TRUE(log_.Await("cancelled"));
  const auto status = stream.Finish();
  EXPECT_EQ(status.error_code(), ::grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("The proxy is shutting down"));
}

}  // namespace
}  // namespace pondpilot::proxy::grpc
