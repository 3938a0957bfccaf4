// The control contract over a real connection, beside Flight on one port.
#include <arrow/api.h>
#include <arrow/flight/api.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "contract/control.grpc.pb.h"
#include "worker/control/control_service.h"
#include "worker/flight/loopback.h"
#include "worker/flight/raw_call.h"
#include "worker/session/eventually.h"
#include "worker/session/fake_engine.h"

namespace pondpilot::worker::control {
namespace {

namespace proto = pondpilot::control::v1;
using flight::kTestToken;
using flight::Loopback;
using grpc::StatusCode;
using session::Eventually;
using session::FakeEngine;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class ControlTest : public testing::Test {
 protected:
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (proto::Worker::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                Response*),
                    const Request& request, Response* response,
                    const std::vector<std::string>& tokens = {kTestToken}) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(20));
    for (const std::string& token : tokens) context.AddMetadata(contract::kWorkerTokenHeader, token);
    return ((*stub_).*method)(&context, request, response);
  }
  grpc::Status Assign(const proto::AssignRequest& request,
                      const std::vector<std::string>& tokens = {kTestToken}) {
    assigned_ = {};
    return Call(&proto::Worker::Stub::Assign, request, &assigned_, tokens);
  }
  proto::StatusResponse Status() {
    proto::StatusResponse response;
    const auto status = Call(&proto::Worker::Stub::Status, proto::StatusRequest(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  static proto::AssignRequest Sensible() {
    proto::AssignRequest request;
    request.set_contract_version(contract::kContractVersion);
    request.set_lease_ms(60'000);
    request.set_user_id("alice");
    request.set_assignment("proof");
    return request;
  }
  StatusCode FlightCode() {
    return flight::RawCall(loopback_.address(), kTestToken, "GetFlightInfo", "rows 1").status.error_code();
  }

  ControlTest() { control_->Start(); }

  FakeEngine engine_;
  base::ManualClock clock_;
  Lease lease_{clock_, seconds(60)};
  std::optional<ControlService> control_;
  std::atomic<int> wakes_ = 0;
  Loopback loopback_{engine_, [this](Loopback& loopback, grpc::ServerBuilder& builder) {
                       control_.emplace(
                           engine_, loopback.runner(), lease_, base::Sha256Hex(kTestToken),
                           [&loopback] { loopback.service().StartServing(); }, [this] { ++wakes_; });
                       control_->AttachTo(builder);
                     }};
  std::unique_ptr<proto::Worker::Stub> stub_ =
      proto::Worker::NewStub(grpc::CreateChannel(loopback_.address(), grpc::InsecureChannelCredentials()));
  proto::AssignResponse assigned_;
};

TEST_F(ControlTest, BeforeAssignFlightIsUnavailableAndAfterItServes) {
  EXPECT_EQ(FlightCode(), StatusCode::UNAVAILABLE);
  const auto status = Assign(Sensible());
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(FlightCode(), StatusCode::OK);
}

TEST_F(ControlTest, AssignHappensOnce) {
  ASSERT_TRUE(Assign(Sensible()).ok());
  const auto again = Assign(Sensible());
  EXPECT_EQ(again.error_code(), StatusCode::FAILED_PRECONDITION) << again.error_message();
}

TEST_F(ControlTest, AnotherContractIsRefusedAndMayBeMended) {
  auto request = Sensible();
  request.set_contract_version(contract::kContractVersion + 1);
  const auto refused = Assign(request);
  EXPECT_EQ(refused.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(refused.error_message(), HasSubstr("images of one build"));
  EXPECT_EQ(FlightCode(), StatusCode::UNAVAILABLE);
  EXPECT_TRUE(Assign(Sensible()).ok());
}

TEST_F(ControlTest, AnAssignmentToNobodyIsRefused) {
  auto request = Sensible();
  request.clear_user_id();
  EXPECT_EQ(Assign(request).error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(FlightCode(), StatusCode::UNAVAILABLE);
}

TEST_F(ControlTest, StatusShowsWhoseWorkerItIsOnceItIsSomebodys) {
  EXPECT_EQ(Status().user_id(), "");
  EXPECT_EQ(Status().assignment(), "");
  engine_.lock_down_error = base::Error{base::ErrorCode::kInternal, "The lock-down is not proven.", "", {}};
  EXPECT_FALSE(Assign(Sensible()).ok());
  EXPECT_EQ(Status().user_id(), "") << "an assignment that failed";
}

TEST_F(ControlTest, StatusShowsTheAssignment) {
  ASSERT_TRUE(Assign(Sensible()).ok());
  EXPECT_EQ(Status().user_id(), "alice");
  EXPECT_EQ(Status().assignment(), "proof");
}

TEST_F(ControlTest, ALeaseOfNothingIsRefused) {
  auto request = Sensible();
  request.set_lease_ms(0);
  EXPECT_EQ(Assign(request).error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(FlightCode(), StatusCode::UNAVAILABLE);
}

TEST_F(ControlTest, ALeaseBeyondTheClockIsRefused) {
  auto request = Sensible();
  request.set_lease_ms(UINT64_MAX);
  const auto status = Assign(request);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
}

TEST_F(ControlTest, AttachmentsThatSayNothingSensible) {
  const auto refused = [&](const std::function<void(proto::Attachment&)>& make) {
    auto request = Sensible();
    make(*request.add_attachments());
    return Assign(request).error_code() == StatusCode::INVALID_ARGUMENT;
  };
  EXPECT_TRUE(refused([](auto& a) { a.set_alias("x"); }));
  EXPECT_TRUE(refused([](auto& a) { a.set_sqlite_path("/x.db"); })) << "no alias";
  EXPECT_TRUE(refused([](auto& a) { a.set_alias("x"), a.set_sqlite_path("x.db"); })) << "a relative path";
  EXPECT_TRUE(refused([](auto& a) { a.set_alias("x"), a.mutable_postgres()->set_port(5432); })) << "no host";
  EXPECT_TRUE(refused([](auto& a) { a.set_alias("x"), a.mutable_mysql()->set_host("h"); })) << "no port";
  EXPECT_TRUE(refused([](auto& a) {
    a.set_alias("x");
    a.mutable_mysql()->set_host("h");
    a.mutable_mysql()->set_port(70'000);
  }));
  EXPECT_TRUE(engine_.attached().empty());
}

TEST_F(ControlTest, AttachmentsArriveWhole) {
  auto request = Sensible();
  auto* pg = request.add_attachments();
  pg->set_alias("pg");
  pg->set_read_only(true);
  pg->mutable_postgres()->set_host("db");
  pg->mutable_postgres()->set_port(5432);
  pg->mutable_postgres()->set_database("shop");
  pg->mutable_postgres()->set_user("reader");
  pg->mutable_postgres()->set_password("hidden");
  (*pg->mutable_postgres()->mutable_options())["sslmode"] = "require";
  auto* lite = request.add_attachments();
  lite->set_alias("lite");
  lite->set_sqlite_path("/data/a.db");
  auto* lost = request.add_attachments();
  lost->set_alias("lost");
  lost->set_unavailable("No such driver.");
  ASSERT_TRUE(Assign(request).ok());
  const auto attached = engine_.attached();
  ASSERT_EQ(attached.size(), 3u);
  EXPECT_EQ(attached[0].kind, engine::Attachment::Kind::kPostgres);
  EXPECT_TRUE(attached[0].read_only);
  EXPECT_EQ(attached[0].server.host, "db");
  EXPECT_EQ(attached[0].server.port, 5432);
  EXPECT_EQ(attached[0].server.database, "shop");
  EXPECT_EQ(attached[0].server.user, "reader");
  EXPECT_EQ(attached[0].server.password.Reveal(), "hidden");
  EXPECT_THAT(attached[0].server.options, testing::ElementsAre(testing::Pair("sslmode", "require")));
  EXPECT_EQ(attached[1].sqlite_path, "/data/a.db");
  EXPECT_FALSE(attached[1].read_only);
  ASSERT_EQ(assigned_.attachments_size(), 3);
  EXPECT_FALSE(assigned_.attachments(2).available());
  EXPECT_EQ(assigned_.attachments(2).reason(), "No such driver.");
  EXPECT_EQ(Status().attachments_size(), 3);
}

TEST_F(ControlTest, AnEngineThatCouldNotBeLockedNeverServes) {
  engine_.lock_down_error = base::Error{base::ErrorCode::kInternal, "The lock-down is not proven.", "", {}};
  const auto status = Assign(Sensible());
  EXPECT_EQ(status.error_code(), StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), HasSubstr("not proven"));
  engine_.lock_down_error.reset();
  EXPECT_EQ(Assign(Sensible()).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(FlightCode(), StatusCode::UNAVAILABLE);
}

TEST_F(ControlTest, EveryCallNeedsTheToken) {
  const std::vector<std::vector<std::string>> kNone = {
      {}, {""}, {"wrong"}, {base::Sha256Hex(kTestToken)}, {kTestToken, kTestToken}};
  for (const auto& tokens : kNone) {
    EXPECT_EQ(Assign(Sensible(), tokens).error_code(), StatusCode::UNAUTHENTICATED);
    proto::StatusResponse status;
    EXPECT_EQ(Call(&proto::Worker::Stub::Status, proto::StatusRequest(), &status, tokens).error_code(),
              StatusCode::UNAUTHENTICATED);
    proto::DrainResponse drain;
    EXPECT_EQ(Call(&proto::Worker::Stub::Drain, proto::DrainRequest(), &drain, tokens).error_code(),
              StatusCode::UNAUTHENTICATED);
  }
  EXPECT_FALSE(loopback_.runner().draining());
  EXPECT_TRUE(engine_.attached().empty());
}

TEST_F(ControlTest, StatusTellsWhatRuns) {
  ASSERT_TRUE(Assign(Sensible()).ok());
  EXPECT_EQ(Status().running_statements(), 0u);
  EXPECT_TRUE(Status().healthy());
  const auto client = loopback_.Connect();
  auto options = Loopback::AsProxy();
  options.timeout = arrow::flight::TimeoutDuration(2);
  std::thread blocked(
      [&] { (void)client->GetFlightInfo(options, arrow::flight::FlightDescriptor::Command("block")); });
  EXPECT_TRUE(Eventually([&] { return Status().running_statements() == 1; }));
  EXPECT_EQ(Status().idle_ms(), 0u);
  EXPECT_EQ(Status().sessions(), 1u);
  blocked.join();  // its deadline ends it
  EXPECT_TRUE(Eventually([&] { return Status().running_statements() == 0; }));
  ASSERT_TRUE(
      client->GetFlightInfo(Loopback::AsProxy(), arrow::flight::FlightDescriptor::Command("rows 1000000"))
          .ok());
  EXPECT_EQ(Status().open_streams(), 1u);
  ASSERT_TRUE(
      client->GetFlightInfo(Loopback::AsProxy("b"), arrow::flight::FlightDescriptor::Command("begin")).ok());
  EXPECT_EQ(Status().open_transactions(), 1u);
  EXPECT_EQ(Status().kept_objects(), 1u) << "an open transaction is state too";
  engine_.is_healthy = false;
  EXPECT_FALSE(Status().healthy());
}

TEST_F(ControlTest, StatusTellsWhatTheProcessUses) {
  engine_.buffer_bytes = 4711;
  const auto status = Status();
  EXPECT_GT(status.resident_bytes(), 1u << 20);
  EXPECT_GE(status.peak_resident_bytes(), status.resident_bytes());
  EXPECT_GT(status.cpu_ms(), 0u);
  EXPECT_EQ(status.engine_buffer_bytes(), 4711u);
}

TEST_F(ControlTest, MoreAskForTheStatusThanAreAnsweredAtATime) {
  ASSERT_TRUE(Assign(Sensible()).ok());
  std::vector<std::jthread> askers;
  std::atomic<int> answered = 0;
  for (int asker = 0; asker < 16; ++asker) {
    askers.emplace_back([&, asker] {
      for (int i = 0; i < 8; ++i) {
        proto::StatusResponse response;
        const bool refused = asker % 2 == 0;
        const auto status = Call(&proto::Worker::Stub::Status, proto::StatusRequest(), &response,
                                 {refused ? std::string(64, 'b') : kTestToken});
        const bool right = status.error_code() == (refused ? StatusCode::UNAUTHENTICATED : StatusCode::OK) &&
                           response.user_id() == (refused ? "" : "alice");
        answered += right ? 1 : 0;
      }
    });
  }
  askers.clear();
  EXPECT_EQ(answered, 16 * 8);
}

TEST_F(ControlTest, StatusRenewsTheLease) {
  auto request = Sensible();
  request.set_lease_ms(10'000);
  ASSERT_TRUE(Assign(request).ok());
  clock_.Advance(seconds(9));
  EXPECT_FALSE(lease_.Expired());
  Status();
  clock_.Advance(seconds(9));
  EXPECT_FALSE(lease_.Expired());
  clock_.Advance(seconds(2));
  EXPECT_TRUE(lease_.Expired());
}

TEST_F(ControlTest, AWorkerThatNobodyAssignsExpires) {
  clock_.Advance(seconds(59));
  EXPECT_FALSE(lease_.Expired());
  clock_.Advance(seconds(2));
  EXPECT_TRUE(lease_.Expired());
}

TEST_F(ControlTest, DrainRefusesNewStatementsAndLetsOpenResultsBeRead) {
  ASSERT_TRUE(Assign(Sensible()).ok());
  const auto client = loopback_.Connect();
  const auto info =
      client->GetFlightInfo(Loopback::AsProxy(), arrow::flight::FlightDescriptor::Command("rows 1000000"));
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  proto::DrainResponse response;
  ASSERT_TRUE(Call(&proto::Worker::Stub::Drain, proto::DrainRequest(), &response).ok());
  EXPECT_EQ(FlightCode(), StatusCode::UNAVAILABLE);
  EXPECT_FALSE(loopback_.runner().activity().AwaitNone(milliseconds(0)));
  auto reader = client->DoGet(Loopback::AsProxy(), (*info)->endpoints()[0].ticket);
  ASSERT_TRUE(reader.ok());
  const auto table = (*reader)->ToTable();
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  EXPECT_EQ((*table)->num_rows(), 1'000'000);
  EXPECT_TRUE(loopback_.runner().activity().AwaitNone(seconds(10)));
}

TEST_F(ControlTest, WhoeverWaitsForTheEndLooksAgainWhenItMayHaveMoved) {
  ASSERT_TRUE(Assign(Sensible()).ok());
  const int assigned = wakes_;
  EXPECT_GE(assigned, 1) << "the lease is of another length";
  Status();
  EXPECT_EQ(wakes_, assigned) << "it is heard from, and ends no earlier";
  proto::DrainResponse drained;
  ASSERT_TRUE(Call(&proto::Worker::Stub::Drain, proto::DrainRequest(), &drained).ok());
  EXPECT_EQ(wakes_, assigned + 1);
}

}  // namespace
}  // namespace pondpilot::worker::control
