#pragma once

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

// For tests: the relay between a real gRPC client and a scripted worker, both on loopback.
namespace pondpilot::proxy::grpc {

namespace asio = boost::asio;
using ::grpc::ByteBuffer;

inline const base::Secret kKey("a-key-for-tests-that-is-long-enough-for-hs256");
inline const base::Secret kIdentifierKey("identifier key");
inline constexpr char kService[] = "/arrow.flight.protocol.FlightService/";

inline ByteBuffer Bytes(const std::string& text) {
  const ::grpc::Slice slice(text);
  return ByteBuffer(&slice, 1);
}

inline std::string Text(const ByteBuffer& bytes) {
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
      if (Text(message_).ends_with(contract::kUploadEndMark)) {
        log_.Add("end of upload");
        return StartRead(&message_);
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
  asio::awaitable<base::Result<void>> AwaitReady(std::chrono::milliseconds) override {
    co_return base::Result<void>();
  }
  asio::awaitable<base::Result<std::vector<fleet::AttachmentState>>> Assign(
      fleet::Assignment, std::chrono::milliseconds) override {
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
  base::Secret Terms() const override { return base::Secret(); }
  std::shared_ptr<fleet::WorkerControl> Connect(const launch::LaunchedWorker& worker,
                                                const base::Secret&) override {
    return std::make_shared<FixedControl>(worker.address);
  }
};

class FixedLauncher final : public launch::Launcher {
 public:
  explicit FixedLauncher(std::string address) : address_(std::move(address)) {}
  asio::awaitable<base::Result<void>> Prepare() override { co_return base::Result<void>(); }
  asio::awaitable<base::Result<std::vector<launch::FoundWorker>>> Find() override {
    co_return std::vector<launch::FoundWorker>();
  }
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
  // Long enough for a busy machine to say something in between.
  static constexpr std::chrono::milliseconds kUploadSilence{2000};

  void SetUp() override {
    int port = 0;
    ::grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&worker_);
    worker_server_ = builder.BuildAndStart();
    launcher_ = std::make_unique<FixedLauncher>("ipv4:127.0.0.1:" + std::to_string(port));
    fleet::FleetOptions options;
    options.token_key = base::Secret("token key");
    options.assignment_key = base::Secret("assignment key");
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
    services.session_key = base::Secret("session key");
    services.identifier_key = kIdentifierKey;
    services.upload_silence = kUploadSilence;
    services.tracer = tracer();
    auto relay = FlightServer::Start("127.0.0.1", 0, services);
    ASSERT_TRUE(relay.has_value()) << relay.error().message;
    relay_ = std::move(*relay);
    channel_ = ::grpc::CreateChannel("127.0.0.1:" + std::to_string(relay_->port()),
                                     ::grpc::InsecureChannelCredentials());
    io_thread_ = std::thread([this] { io_.run(); });
  }

  virtual telemetry::Tracer* tracer() { return nullptr; }

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

}  // namespace pondpilot::proxy::grpc
