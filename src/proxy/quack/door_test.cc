// The door between messages and a scripted worker on loopback.
#include "proxy/quack/door.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <functional>
#include <thread>

#include "contract/quack_exchange.h"
#include "proxy/auth/token_issuer.h"
#include "proxy/fleet/fleet_fixture.h"
#include "quack/wire.h"

namespace pondpilot::proxy::quack {
namespace {

namespace asio = boost::asio;
namespace proto = pondpilot::quack::v1;
using testing::ElementsAre;
using testing::HasSubstr;
using wire::Dialect;
using wire::Type;

const base::Secret kKey("a-key-for-tests-that-is-long-enough-for-hs256");

// Answers each message with Success, and says what the test wants of its connection.
class FakeQuack final : public contract::QuackExchange::Service {
 public:
  ::grpc::Status Exchange(::grpc::ServerContext*, const proto::Request* request, Writer* writer) override {
    std::string_view body;
    const auto header = wire::ParseHeader(request->message(), body);
    contract::QuackPiece piece;
    {
      std::unique_lock lock(mutex_);
      seen_.push_back(header->type);
      changed_.notify_all();
      changed_.wait(lock, [&] { return held_ != header->type; });
      piece.holds_state = holds_state_;
    }
    const std::string answer = wire::Success();
    piece.data.emplace_back(answer);
    piece.size = answer.size();
    piece.last = true;
    writer->Write(piece);
    return ::grpc::Status::OK;
  }

  std::vector<Type> Seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  bool Await(Type type) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [&] { return std::ranges::find(seen_, type) != seen_.end(); });
  }
  void HoldState(bool holds) {
    const std::lock_guard lock(mutex_);
    holds_state_ = holds;
  }
  // Messages of this type are answered when another type is held.
  void Hold(std::optional<Type> type) {
    const std::lock_guard lock(mutex_);
    held_ = type;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Type> seen_;
  bool holds_state_ = false;
  std::optional<Type> held_;
};

// Workers that are fakes but for the one port that all of them have.
class Wired final : public fleet::WorkerControl {
 public:
  Wired(std::shared_ptr<fleet::WorkerControl> fake, const std::string& address)
      : fake_(std::move(fake)),
        channel_(::grpc::CreateChannel(address, ::grpc::InsecureChannelCredentials())) {}
  asio::awaitable<base::Result<void>> AwaitReady(std::chrono::milliseconds timeout) override {
    return fake_->AwaitReady(timeout);
  }
  asio::awaitable<base::Result<std::vector<fleet::AttachmentState>>> Assign(
      fleet::Assignment assignment, std::chrono::milliseconds timeout) override {
    return fake_->Assign(std::move(assignment), timeout);
  }
  asio::awaitable<base::Result<fleet::WorkerActivity>> Status(std::chrono::milliseconds timeout) override {
    return fake_->Status(timeout);
  }
  asio::awaitable<base::Result<void>> Drain(std::chrono::milliseconds timeout) override {
    return fake_->Drain(timeout);
  }
  std::shared_ptr<::grpc::Channel> channel() const override { return channel_; }

 private:
  const std::shared_ptr<fleet::WorkerControl> fake_;
  const std::shared_ptr<::grpc::Channel> channel_;
};

class WiredControls final : public fleet::WorkerControlFactory {
 public:
  explicit WiredControls(fleet::FakeWorld& world) : world_(world) {}
  base::Secret Terms() const override { return world_.Terms(); }
  std::shared_ptr<fleet::WorkerControl> Connect(const launch::LaunchedWorker& worker,
                                                const base::Secret& token) override {
    return std::make_shared<Wired>(world_.Connect(worker, token), address);
  }
  std::string address;

 private:
  fleet::FakeWorld& world_;
};

class QuackDoorTest : public fleet::FleetTest {
 protected:
  void SetUp() override {
    int port = 0;
    ::grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&worker_);
    server_ = builder.BuildAndStart();
    controls_.address = "ipv4:127.0.0.1:" + std::to_string(port);
    fleet_ = fleet::Fleet::Create(pool_.get_executor(), options_, world_, controls_, base::Clock::System());
    asio::co_spawn(pool_, fleet_->Begin({}), asio::use_future).get();
    QuackServices services;
    services.gate = &gate_;
    services.fleet = fleet_;
    services.clock = &base::Clock::System();
    services.draining = draining_;
    services.worker_wait =
        std::make_shared<const std::atomic<std::chrono::milliseconds>>(std::chrono::seconds(20));
    door_.emplace(services);
  }
  void TearDown() override {
    worker_.Hold({});
    door_.reset();
    server_->Shutdown(std::chrono::system_clock::now());
  }

  using Pending = std::future<http::Response>;
  // Until the answer is there, `client` may go away.
  Pending Begin(const std::string& message, asio::cancellation_signal* client = nullptr) {
    auto request = std::make_shared<http::Request>();
    request->body = message;
    request->peer_address = "127.0.0.1";
    request->request_id = "test";
    auto promise = std::make_shared<std::promise<http::Response>>();
    auto answer = promise->get_future();
    const auto done = [promise, request](std::exception_ptr thrown, http::Response response) {
      if (thrown) return promise->set_exception(thrown);
      promise->set_value(std::move(response));
    };
    auto handle = [this, request]() -> asio::awaitable<http::Response> {
      http::Response response = co_await door_->Handle(*request);
      co_return response;
    };
    asio::post(strand_, [this, client, handle, done] {
      if (client == nullptr) return asio::co_spawn(strand_, handle, done);
      asio::co_spawn(strand_, handle, asio::bind_cancellation_slot(client->slot(), done));
    });
    return answer;
  }
  std::string Send(const std::string& message) { return Begin(message).get().body; }

  static std::string Message(Type type, const std::string& id,
                             const std::function<void(wire::Writer&)>& body = {}) {
    std::string out;
    wire::Writer writer(out);
    writer.Field(1);
    writer.Byte(static_cast<uint8_t>(type));
    if (!id.empty()) {
      writer.Field(2);
      writer.Text(id);
    }
    writer.End();
    if (body) body(writer);
    writer.End();
    return out;
  }
  // Of the connection that was made.
  std::string Connect(Dialect dialect) {
    const auto token = auth::TokenIssuer(kKey, base::Clock::System()).Issue("alice", std::chrono::hours(1));
    const std::string answer = Send(Message(Type::kConnectionRequest, "", [&](wire::Writer& writer) {
      writer.Field(1);
      writer.Text(token->token);
      for (const uint16_t field : {4, 5}) {
        writer.Field(field);
        writer.Unsigned(static_cast<uint64_t>(dialect));
      }
    }));
    EXPECT_EQ(TypeOf(answer), Type::kConnectionResponse) << answer;
    return answer.substr(wire::kIdOffset, wire::kIdBytes);
  }
  static std::string Prepare(const std::string& id) { return Message(Type::kPrepareRequest, id); }
  static Type TypeOf(const std::string& message) { return static_cast<Type>(message.at(2)); }

  void KillWorkers() {
    std::set<std::string> running;
    {
      const std::scoped_lock lock(world_.mutex);
      running = world_.running;
    }
    for (const std::string& handle : running) {
      world_.Change(handle, [](fleet::FakeWorker& worker) { worker.exit = launch::WorkerExit{137, false}; });
    }
    ASSERT_TRUE(Eventually([this] { return fleet_->Counts().active == 0; }));
  }

  FakeQuack worker_;
  std::unique_ptr<::grpc::Server> server_;
  WiredControls controls_{world_};
  asio::strand<asio::thread_pool::executor_type> strand_ = asio::make_strand(pool_.get_executor());
  const auth::TokenVerifier verifier_{kKey, base::Clock::System()};
  limits::RateLimiter strangers_{{}, "requests", base::Clock::System()};
  std::atomic<int> admitted_ = 0;
  std::atomic<bool> refuses_ = false;
  const access::Gate gate_{verifier_, strangers_, [this](const auth::Principal&) {
                             limits::Answer answer;
                             ++admitted_;
                             if (refuses_)
                               answer.taken = base::Fail(base::ErrorCode::kResourceExhausted, "slow down");
                             return answer;
                           }};
  const std::shared_ptr<std::atomic<bool>> draining_ = std::make_shared<std::atomic<bool>>(false);
  std::optional<QuackDoor> door_;
};

// A heartbeat takes nothing of the warning away, and starts nothing.
TEST_F(QuackDoorTest, TheNextStatementHearsOfALostTransaction) {
  const std::string id = Connect(Dialect::kV3);
  worker_.HoldState(true);
  ASSERT_EQ(Send(Prepare(id)), wire::Success());
  KillWorkers();
  const int launches = world_.launches;
  EXPECT_EQ(Send(Message(Type::kHeartbeat, id)), wire::Success());
  EXPECT_EQ(Send(Message(Type::kCancel, id)), wire::Success());
  EXPECT_EQ(world_.launches, launches);
  EXPECT_THAT(worker_.Seen(), ElementsAre(Type::kPrepareRequest));
  const std::string refused = Send(Prepare(id));
  EXPECT_EQ(TypeOf(refused), Type::kError);
  EXPECT_THAT(refused, HasSubstr("open transaction are gone"));
  worker_.HoldState(false);
  EXPECT_EQ(Send(Prepare(id)), wire::Success()) << "once";
}

TEST_F(QuackDoorTest, WhatBelongsToAWorkerThatIsGoneStartsNone) {
  const std::string id = Connect(Dialect::kV3);
  ASSERT_EQ(Send(Prepare(id)), wire::Success());
  KillWorkers();
  const int launches = world_.launches;
  EXPECT_THAT(Send(Message(Type::kFetchRequest, id)), HasSubstr("no longer there"));
  EXPECT_THAT(Send(Message(Type::kAppendRequest, id)), HasSubstr("no longer there"));
  EXPECT_EQ(Send(Message(Type::kDisconnect, id)), wire::Success());
  EXPECT_EQ(world_.launches, launches);
}

// BEGIN and a heartbeat that was answered before it, whose answer comes later.
TEST_F(QuackDoorTest, AnAnswerThatOverlappedTakesNoStateAway) {
  const std::string id = Connect(Dialect::kV3);
  worker_.HoldState(true);
  ASSERT_EQ(Send(Prepare(id)), wire::Success());
  worker_.HoldState(false);
  worker_.Hold(Type::kPrepareRequest);
  auto begin = Begin(Prepare(id));
  ASSERT_TRUE(Eventually([&] { return worker_.Seen().size() == 2; }));
  EXPECT_EQ(Send(Message(Type::kHeartbeat, id)), wire::Success());
  worker_.Hold({});
  EXPECT_EQ(begin.get().body, wire::Success());
  KillWorkers();
  EXPECT_THAT(Send(Prepare(id)), HasSubstr("open transaction are gone"));
}

TEST_F(QuackDoorTest, AClientThatGoesAtOnceHasDisconnected) {
  const std::string id = Connect(Dialect::kV1);
  worker_.HoldState(true);
  ASSERT_EQ(Send(Prepare(id)), wire::Success());
  worker_.Hold(Type::kDisconnect);
  asio::cancellation_signal client;
  auto answer = Begin(Message(Type::kDisconnect, id), &client);
  ASSERT_TRUE(worker_.Await(Type::kDisconnect));
  asio::post(strand_, [&] { client.emit(asio::cancellation_type::terminal); });
  EXPECT_EQ(answer.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  worker_.Hold({});
  EXPECT_EQ(answer.get().body, wire::Success());
  EXPECT_THAT(Send(Prepare(id)), HasSubstr("does not know this connection"));
}

TEST_F(QuackDoorTest, RowsOfVersion1CostSomething) {
  const std::string id = Connect(Dialect::kV1);
  admitted_ = 0;
  const std::string append = Message(Type::kAppendRequest, id);
  for (int i = 0; i < 65; ++i) ASSERT_EQ(Send(append), wire::Success());
  EXPECT_EQ(admitted_, 3);
  EXPECT_EQ(Send(Prepare(id)), wire::Success());
  refuses_ = true;
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Send(append), HasSubstr("slow down"));
  refuses_ = false;
  draining_->store(true);
  EXPECT_THAT(Send(append), HasSubstr("shutting down"));
  draining_->store(false);
  EXPECT_EQ(Send(append), wire::Success());
}

}  // namespace
}  // namespace pondpilot::proxy::quack
