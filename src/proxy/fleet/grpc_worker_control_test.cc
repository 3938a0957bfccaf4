#include "proxy/fleet/grpc_worker_control.h"

#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <mutex>
#include <thread>

#include "contract/control.grpc.pb.h"
#include "contract/names.h"

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
namespace control = pondpilot::control::v1;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A worker's control side in this process, on loopback.
class LoopbackWorker final : public control::Worker::Service {
 public:
  grpc::Status Assign(grpc::ServerContext* context, const control::AssignRequest* request,
                      control::AssignResponse* response) override {
    const std::scoped_lock lock(mutex_);
    Remember(context);
    assigned = *request;
    if (++assigns > 1) return {grpc::StatusCode::FAILED_PRECONDITION, "already assigned"};
    auto* state = response->add_attachments();
    state->set_alias("shop");
    state->set_reason("no such host");
    return grpc::Status::OK;
  }

  grpc::Status Status(grpc::ServerContext* context, const control::StatusRequest*,
                      control::StatusResponse* response) override {
    while (hang && !context->IsCancelled()) std::this_thread::sleep_for(milliseconds(1));
    if (context->IsCancelled()) {
      cancelled = true;
      return grpc::Status::CANCELLED;
    }
    if (++statuses <= refuse_statuses) return {grpc::StatusCode::UNAVAILABLE, "not yet"};
    response->set_running_statements(1);
    response->set_user_id("alice");
    response->set_assignment("proof");
    response->set_open_streams(2);
    response->set_open_transactions(3);
    response->set_idle_ms(4);
    response->set_healthy(true);
    return grpc::Status::OK;
  }

  grpc::Status Drain(grpc::ServerContext*, const control::DrainRequest*, control::DrainResponse*) override {
    drained = true;
    return grpc::Status::OK;
  }

  // 0: any port. Returns the port.
  int Listen(int port = 0) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(), &port);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    return port;
  }

  ~LoopbackWorker() override {
    hang = false;
    if (server_) server_->Shutdown(std::chrono::system_clock::now() + seconds(1));
  }

  control::AssignRequest assigned;
  std::string token;
  int assigns = 0;
  std::atomic<int> statuses = 0;
  std::atomic<int> refuse_statuses = 0;
  std::atomic<bool> hang = false;
  std::atomic<bool> cancelled = false;
  std::atomic<bool> drained = false;

 private:
  void Remember(const grpc::ServerContext* context) {
    const auto found = context->client_metadata().find(contract::kWorkerTokenHeader);
    if (found != context->client_metadata().end()) token.assign(found->second.data(), found->second.size());
  }

  std::mutex mutex_;
  std::unique_ptr<grpc::Server> server_;
};

class GrpcWorkerControlTest : public ::testing::Test {
 protected:
  ~GrpcWorkerControlTest() override { pool_.join(); }

  template <typename T>
  T Run(asio::awaitable<T> work) {
    return asio::co_spawn(pool_, std::move(work), asio::use_future).get();
  }

  std::shared_ptr<WorkerControl> Connect(int port) {
    return GrpcWorkerControlFactory(duckdb_).Connect(
        {.worker_id = "w", .handle = "c", .address = "ipv4:127.0.0.1:" + std::to_string(port)},
        base::Secret("t0ken"));
  }

  asio::thread_pool pool_{2};
  config::Config::DuckDb duckdb_;
  LoopbackWorker worker_;
};

TEST_F(GrpcWorkerControlTest, AssignSendsTheConfigurationAndTheToken) {
  config::AttachedDatabase postgres;
  postgres.alias = "shop";
  postgres.server =
      config::ServerTarget{"db", 5432, "shop", "me", base::Secret("pw"), {{"sslmode", "require"}}};
  config::AttachedDatabase mysql;
  mysql.alias = "old";
  mysql.kind = config::DatabaseKind::kMysql;
  mysql.read_only = false;
  mysql.server = config::ServerTarget{"my", 3306, "old", "me", base::Secret("pw"), {}};
  config::AttachedDatabase sqlite;
  sqlite.alias = "file";
  sqlite.kind = config::DatabaseKind::kSqlite;
  sqlite.sqlite_path = "/data/file.db";
  config::AttachedDatabase broken;
  broken.alias = "broken";
  broken.unavailable = "its variable is not set";
  duckdb_ = {{"httpfs", "arrow"}, {postgres, mysql, sqlite, broken}};

  const auto states = Run(Connect(worker_.Listen())->Assign({"alice", "proof"}, seconds(10)));
  ASSERT_TRUE(states) << states.error().detail;
  ASSERT_EQ(states->size(), 1u);
  EXPECT_EQ((*states)[0].alias, "shop");
  EXPECT_FALSE((*states)[0].available);
  EXPECT_EQ((*states)[0].reason, "no such host");

  EXPECT_EQ(worker_.token, "t0ken");
  EXPECT_EQ(worker_.assigned.contract_version(), contract::kContractVersion);
  EXPECT_EQ(worker_.assigned.lease_ms(), 60'000u);
  EXPECT_EQ(worker_.assigned.user_id(), "alice");
  EXPECT_EQ(worker_.assigned.assignment(), "proof");
  ASSERT_EQ(worker_.assigned.extensions_size(), 1);
  EXPECT_EQ(worker_.assigned.extensions(0), "httpfs");
  ASSERT_EQ(worker_.assigned.attachments_size(), 4);
  const auto& first = worker_.assigned.attachments(0);
  EXPECT_TRUE(first.read_only());
  EXPECT_EQ(first.postgres().host(), "db");
  EXPECT_EQ(first.postgres().port(), 5432u);
  EXPECT_EQ(first.postgres().password(), "pw");
  EXPECT_EQ(first.postgres().options().at("sslmode"), "require");
  EXPECT_EQ(worker_.assigned.attachments(1).mysql().host(), "my");
  EXPECT_FALSE(worker_.assigned.attachments(1).read_only());
  EXPECT_EQ(worker_.assigned.attachments(2).sqlite_path(), "/data/file.db");
  EXPECT_EQ(worker_.assigned.attachments(3).unavailable(), "its variable is not set");
}

// What nobody listens on at the moment.
int UnusedPort() {
  LoopbackWorker worker;
  return worker.Listen();
}

TEST_F(GrpcWorkerControlTest, AWorkerThatDoesNotListenYetIsWaitedFor) {
  LoopbackWorker late;
  const int port = UnusedPort();
  const auto worker = Connect(port);
  auto answer = asio::co_spawn(pool_, worker->AwaitReady(seconds(20)), asio::use_future);
  EXPECT_EQ(answer.wait_for(milliseconds(300)), std::future_status::timeout);
  ASSERT_EQ(late.Listen(port), port);
  EXPECT_TRUE(answer.get());
}

TEST_F(GrpcWorkerControlTest, AWorkerThatIsUnavailableIsAskedAgain) {
  worker_.refuse_statuses = 2;
  EXPECT_TRUE(Run(Connect(worker_.Listen())->AwaitReady(seconds(10))));
  EXPECT_EQ(worker_.statuses, 3);
}

TEST_F(GrpcWorkerControlTest, ARefusalIsNotTriedAgain) {
  const auto worker = Connect(worker_.Listen());
  ASSERT_TRUE(Run(worker->Assign({"alice", "proof"}, seconds(10))));
  const auto second = Run(worker->Assign({"alice", "proof"}, seconds(10)));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(second.error().detail, "already assigned");
  EXPECT_EQ(worker_.assigns, 2);
}

TEST_F(GrpcWorkerControlTest, WaitingEndsAtItsTimeoutWhenNobodyListens) {
  const auto result = Run(Connect(UnusedPort())->AwaitReady(milliseconds(200)));
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().code, ::testing::AnyOf(ErrorCode::kDeadlineExceeded, ErrorCode::kUnavailable));
}

TEST_F(GrpcWorkerControlTest, StatusReportsWhatTheWorkerDoes) {
  const auto activity = Run(Connect(worker_.Listen())->Status(seconds(10)));
  ASSERT_TRUE(activity) << activity.error().detail;
  EXPECT_EQ(activity->running_statements, 1u);
  EXPECT_EQ(activity->open_streams, 2u);
  EXPECT_EQ(activity->open_transactions, 3u);
  EXPECT_EQ(activity->idle, milliseconds(4));
  EXPECT_TRUE(activity->healthy);
}

TEST_F(GrpcWorkerControlTest, StatusEndsAtItsTimeout) {
  worker_.hang = true;
  const auto activity = Run(Connect(worker_.Listen())->Status(milliseconds(100)));
  ASSERT_FALSE(activity);
  EXPECT_EQ(activity.error().code, ErrorCode::kDeadlineExceeded);
}

TEST_F(GrpcWorkerControlTest, ACancelledCallEndsAtTheWorkerToo) {
  using namespace asio::experimental::awaitable_operators;
  worker_.hang = true;
  const auto worker = Connect(worker_.Listen());
  auto race = [](std::shared_ptr<WorkerControl> one) -> asio::awaitable<size_t> {
    asio::steady_timer timer(co_await asio::this_coro::executor, milliseconds(100));
    auto first = co_await (one->Status(seconds(60)) || timer.async_wait(asio::use_awaitable));
    co_return first.index();
  };
  // One thread at a time, as the cancellation of a coroutine demands.
  const auto strand = asio::make_strand(pool_.get_executor());
  EXPECT_EQ(asio::co_spawn(strand, race(worker), asio::use_future).get(), 1u);
  for (int i = 0; i < 1000 && !worker_.cancelled; ++i) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_TRUE(worker_.cancelled);
}

TEST_F(GrpcWorkerControlTest, DrainReachesTheWorker) {
  EXPECT_TRUE(Run(Connect(worker_.Listen())->Drain(seconds(10))));
  EXPECT_TRUE(worker_.drained);
}

}  // namespace
}  // namespace pondpilot::proxy::fleet
