// The relay between a real gRPC client and a scripted worker, both on loopback.

#include <gmock/gmock.h>
#include <grpcpp/alarm.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <condition_variable>
#include <map>
#include <thread>

#include "contract/control.pb.h"
#include "contract/names.h"
#include "proxy/auth/token_issuer.h"
#include "proxy/grpc/flight_server.h"

namespace pondpilot::proxy::grpc {
namespace {

namespace asio = boost::asio;
using ::grpc::ByteBuffer;
using ::testing::HasSubstr;

const base::Secret kKey("a-key-for-tests-that-is-long-enough-for-hs256");
constexpr char kService[] = "/arrow.flight.protocol.FlightService/";

ByteBuffer Bytes(const std::string& text) {
  const ::grpc::Slice slice(text);
  return ByteBuffer(&slice, 1);
}

std::string Text(const ByteBuffer& bytes) {
  std::vector<::grpc::Slice> slices;
  std::string text;
  if (bytes.Valid() && bytes.Dump(&slices).ok()) {
    for (const auto& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

// What the worker has seen, for tests to wait on.
class Log {
 public:
  void Add(const std::string& event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
    changed_.notify_all();
  }
  bool Await(const std::string& event, std::chrono::milliseconds limit = std::chrono::seconds(5)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return std::ranges::find(events_, event) != events_.end(); });
  }
  size_t Count(const std::string& event) {
    const std::lock_guard lock(mutex_);
    return static_cast<size_t>(std::ranges::count(events_, event));
  }
  void Note(const std::string& key, const std::string& value) {
    const std::lock_guard lock(mutex_);
    metadata_[key] = value;
  }
  // Of the calls so far; empty when none had it.
  std::string Metadata(const std::string& key) {
    const std::lock_guard lock(mutex_);
    return metadata_[key];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
  std::map<std::string, std::string> metadata_;
};

// A worker: what it does depends on the first message of the call.
class Worker final : public ::grpc::CallbackGenericService {
 public:
  explicit Worker(Log& log) : log_(log) {}

  ::grpc::ServerGenericBidiReactor* CreateReactor(::grpc::GenericCallbackServerContext* context) override {
    for (const auto& [key, value] : context->client_metadata()) {
      log_.Note(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
    }
    return new Reactor(*context, log_);
  }

 private:
  class Reactor final : public ::grpc::ServerGenericBidiReactor {
   public:
    Reactor(::grpc::GenericCallbackServerContext& context, Log& log) : context_(context), log_(log) {
      context_.AddInitialMetadata("x-from-worker", "hello");
      context_.AddTrailingMetadata("x-arrow-status", "7");
      StartRead(&message_);
    }

    void OnReadDone(bool ok) override {
      if (!ok) {
        // A reset ends the reading as well, with its cancellation a moment behind: look again after a moment.
        settle_.Set(std::chrono::system_clock::now() + std::chrono::milliseconds(50), [this](bool passed) {
          if (!passed || finished_.exchange(true)) return;  // not passed: this object is being destroyed
          log_.Add("half-close");
          reply_ = Bytes("messages:" + std::to_string(messages_));
          StartWriteAndFinish(&reply_, {}, ::grpc::Status::OK);
        });
        return;
      }
      ++messages_;
      if (plan_.empty()) plan_ = Text(message_);
      log_.Add("message");
      if (plan_ == "echo") {
        finished_ = true;
        reply_ = Bytes("echo");
        StartWriteAndFinish(&reply_, {}, ::grpc::Status::OK);
      } else if (plan_ == "exhausted") {
        finished_ = true;
        context_.AddTrailingMetadata(contract::kArrowDetailTrailer,
                                     std::string(contract::kErrorCodeDetail) + "resource_exhausted");
        Finish({::grpc::StatusCode::UNKNOWN,
                std::string("no memory. Detail: ") + contract::kErrorCodeDetail + "resource_exhausted"});
      } else if (plan_ == "early") {
        finished_ = true;
        for (const auto& [key, value] : context_.client_metadata()) {
          if (std::string_view(key.data(), key.size()) != contract::kEarlyResultHeader) continue;
          control::v1::EarlyResult result;
          result.set_ticket("early");
          result.add_messages("schema");
          result.add_messages("rows");
          context_.AddTrailingMetadata(contract::kEarlyResultTrailer, result.SerializeAsString());
        }
        reply_ = Bytes("info");
        StartWriteAndFinish(&reply_, {}, ::grpc::Status::OK);
      } else if (plan_ == "fail") {
        finished_ = true;
        Finish({::grpc::StatusCode::NOT_FOUND, "no such table", "details"});
      } else if (plan_ == "stream") {
        WriteNext();
      } else if (plan_ == "hang") {
        log_.Add("hanging");
      } else {
        StartRead(&message_);
      }
    }

    void OnWriteDone(bool ok) override {
      if (ok && plan_ == "stream") WriteNext();
    }
    void OnCancel() override {
      log_.Add("cancelled");
      if (!finished_.exchange(true)) Finish(::grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

   private:
    void WriteNext() {
      if (written_ == 200) {
        if (!finished_.exchange(true)) Finish(::grpc::Status::OK);
        return;
      }
      ++written_;
      log_.Add("written");
      reply_ = Bytes(std::string(1 << 20, 'x'));
      StartWrite(&reply_);
    }

    ::grpc::GenericCallbackServerContext& context_;
    Log& log_;
    ByteBuffer message_;
    ByteBuffer reply_;
    std::string plan_;
    int messages_ = 0;
    int written_ = 0;
    std::atomic<bool> finished_{false};
    ::grpc::Alarm settle_;
  };

  Log& log_;
};

class FixedControl final : public fleet::WorkerControl {
 public:
  explicit FixedControl(const std::string& address)
      : channel_(::grpc::CreateChannel(address, ::grpc::InsecureChannelCredentials())) {}
  asio::awaitable<base::Result<std::vector<fleet::AttachmentState>>> Assign(
      std::chrono::milliseconds) override {
    co_return std::vector<fleet::AttachmentState>{};
  }
  asio::awaitable<base::Result<fleet::WorkerActivity>> Status(std::chrono::milliseconds) override {
    co_return fleet::WorkerActivity{};
  }
  asio::awaitable<base::Result<void>> Drain(std::chrono::milliseconds) override {
    co_return base::Result<void>();
  }
  std::shared_ptr<::grpc::Channel> channel() const override { return channel_; }

 private:
  std::shared_ptr<::grpc::Channel> channel_;
};

class FixedControls final : public fleet::WorkerControlFactory {
 public:
  std::shared_ptr<fleet::WorkerControl> Connect(const std::string& address, const base::Secret&) override {
    return std::make_shared<FixedControl>(address);
  }
};

class FixedLauncher final : public launch::Launcher {
 public:
  explicit FixedLauncher(std::string address) : address_(std::move(address)) {}
  asio::awaitable<base::Result<void>> Prepare() override { co_return base::Result<void>(); }
  asio::awaitable<base::Result<void>> Check() override { co_return base::Result<void>(); }
  asio::awaitable<base::Result<launch::LaunchedWorker>> Launch(launch::WorkerSpec spec) override {
    if (fail) co_return base::Fail(base::ErrorCode::kUnavailable, "no engine");
    co_return launch::LaunchedWorker{spec.worker_id, "handle-" + spec.worker_id, address_};
  }
  asio::awaitable<base::Result<void>> Stop(std::string, std::chrono::milliseconds) override {
    co_return base::Result<void>();
  }
  asio::awaitable<base::Result<launch::WorkerExit>> WaitForExit(std::string) override {
    // A worker that lives as long as the test: cancelled with it.
    asio::steady_timer forever(co_await asio::this_coro::executor, std::chrono::hours(24));
    co_await forever.async_wait(asio::use_awaitable);
    co_return launch::WorkerExit{};
  }
  std::atomic<bool> fail{false};

 private:
  std::string address_;
};

class RelayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int port = 0;
    ::grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&worker_);
    worker_server_ = builder.BuildAndStart();
    launcher_ = std::make_unique<FixedLauncher>("ipv4:127.0.0.1:" + std::to_string(port));
    fleet::FleetOptions options;
    options.token_key = base::Secret("key");
    fleet_ = fleet::Fleet::Create(io_.get_executor(), options, *launcher_, controls_, base::Clock::System());
    RelayServices services;
    services.verifier = &verifier_;
    services.admit = [this](const auth::Principal& principal) -> base::Result<void> {
      ++admitted_;
      if (principal.user_id == "greedy") return base::Fail(base::ErrorCode::kResourceExhausted, "slow down");
      return {};
    };
    services.fleet = fleet_;
    services.clock = &base::Clock::System();
    auto relay = FlightServer::Start("127.0.0.1", 0, services);
    ASSERT_TRUE(relay.has_value()) << relay.error().message;
    relay_ = std::move(*relay);
    channel_ = ::grpc::CreateChannel("127.0.0.1:" + std::to_string(relay_->port()),
                                     ::grpc::InsecureChannelCredentials());
    io_thread_ = std::thread([this] { io_.run(); });
  }

  void TearDown() override {
    relay_->Shutdown(std::chrono::milliseconds(200));
    asio::co_spawn(io_, fleet_->Shutdown(), asio::use_future).get();
    relay_.reset();
    fleet_.reset();
    work_.reset();
    io_.stop();
    io_thread_.join();
    worker_server_->Shutdown(std::chrono::system_clock::now());
  }

  std::string TokenOf(const std::string& user) {
    return auth::TokenIssuer(kKey, base::Clock::System()).Issue(user, std::chrono::hours(1))->token;
  }

  void Authorize(::grpc::ClientContext& context, const std::string& user = "alice") {
    context.AddMetadata("authorization", "Bearer " + TokenOf(user));
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  }

  ::grpc::Status Unary(::grpc::ClientContext& context, const std::string& method, const std::string& message,
                       std::string* reply = nullptr) {
    ::grpc::CompletionQueue queue;
    auto call =
        ::grpc::GenericStub(channel_).PrepareUnaryCall(&context, kService + method, Bytes(message), &queue);
    ByteBuffer bytes;
    ::grpc::Status status;
    call->StartCall();
    call->Finish(&bytes, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    if (reply != nullptr) *reply = Text(bytes);
    return status;
  }

  // A streaming call, one step after the other.
  struct Stream {
    Stream(RelayTest& test, ::grpc::ClientContext& context, const std::string& method)
        : call(::grpc::GenericStub(test.channel_).PrepareCall(&context, kService + method, &queue)) {
      call->StartCall(this);
      Step();
    }
    bool Step() {
      void* tag = nullptr;
      bool ok = false;
      queue.Next(&tag, &ok);
      return ok;
    }
    bool Write(const std::string& message) {
      call->Write(Bytes(message), this);
      return Step();
    }
    bool HalfClose() {
      call->WritesDone(this);
      return Step();
    }
    bool Read(std::string* message) {
      ByteBuffer bytes;
      call->Read(&bytes, this);
      const bool ok = Step();
      *message = Text(bytes);
      return ok;
    }
    ::grpc::Status Finish() {
      ::grpc::Status status;
      call->Finish(&status, this);
      Step();
      return status;
    }
    ::grpc::CompletionQueue queue;
    std::unique_ptr<::grpc::GenericClientAsyncReaderWriter> call;
  };

  Log log_;
  Worker worker_{log_};
  std::unique_ptr<::grpc::Server> worker_server_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  std::thread io_thread_;
  std::unique_ptr<FixedLauncher> launcher_;
  FixedControls controls_;
  std::shared_ptr<fleet::Fleet> fleet_;
  auth::TokenVerifier verifier_{kKey, base::Clock::System()};
  std::atomic<int> admitted_{0};
  std::unique_ptr<FlightServer> relay_;
  std::shared_ptr<::grpc::Channel> channel_;
};

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
}

TEST_F(RelayTest, AnUploadThatIsResetIsNotTakenForAWholeOne) {
  for (int i = 0; i < 20; ++i) {
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

TEST_F(RelayTest, HandshakeAnswersWithTheBearerHeader) {
  ::grpc::ClientContext context;
  const std::string token = TokenOf("alice");
  context.AddMetadata("authorization", "Bearer " + token);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  Stream stream(*this, context, "Handshake");
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
  EXPECT_FALSE(stream.Finish().ok());
}

}  // namespace
}  // namespace pondpilot::proxy::grpc
