// The worker as a process: environment, signals, exit codes.
#include <arrow/api.h>
#include <arrow/flight/api.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/secret.h"
#include "base/unix_socket.h"
#include "contract/control.grpc.pb.h"
#include "contract/names.h"
#include "worker/session/eventually.h"

namespace pondpilot::worker {
namespace {

namespace fl = arrow::flight;
namespace proto = pondpilot::control::v1;
using session::Eventually;
using std::chrono::seconds;
using testing::HasSubstr;
using Environment = std::map<std::string, std::string>;

const std::string kToken(64, 'b');

// A port that was free a moment ago, on the loopback.
int FreePort() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length), 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

base::Descriptor Accept(const base::Descriptor& listening) {
  return base::Descriptor(::accept(listening.get(), nullptr, nullptr));
}

class Process {
 public:
  Process(const Environment& environment, std::string output) : output_(std::move(output)) {
    std::vector<std::string> texts;
    for (const auto& [name, value] : environment) texts.push_back(name + "=" + value);
    std::vector<char*> env;
    for (std::string& text : texts) env.push_back(text.data());
    env.push_back(nullptr);
    std::string program = PONDPILOT_WORKER_PROGRAM;
    std::array<char*, 2> argv{program.data(), nullptr};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, output_.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), &files, nullptr, argv.data(), env.data()), 0);
    posix_spawn_file_actions_destroy(&files);
  }
  ~Process() {
    if (exited_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The exit code; -1 when it doesn't end in time or is killed by a signal.
  int ExitCode(seconds limit = seconds(20)) {
    int status = 0;
    exited_ = Eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, limit);
    return exited_ && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void Terminate() const { ::kill(pid_, SIGTERM); }
  std::string Output() const {
    std::ostringstream text;
    text << std::ifstream(output_).rdbuf();
    return text.str();
  }
  bool Says(const std::string& text) const {
    return Eventually([&] { return Output().find(text) != std::string::npos; });
  }

 private:
  std::string output_;
  pid_t pid_ = -1;
  bool exited_ = false;
};

class WorkerTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = (std::filesystem::temp_directory_path() / "pondpilot-worker-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Environment Sensible() {
    return {{contract::kWorkerTokenSha256Env, base::Sha256Hex(kToken)},   {contract::kWorkerIdEnv, "test"},
            {contract::kMemoryBytesEnv, std::to_string(512 << 20)},       {contract::kCpuCoresEnv, "1.5"},
            {contract::kListenEnv, "127.0.0.1:" + std::to_string(port_)}, {contract::kSpillDirEnv, folder_}};
  }
  std::string Output() const { return folder_ + "/output"; }

  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (proto::Worker::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                Response*),
                    const Request& request) {
    const auto stub = proto::Worker::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(port_), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(30));
    context.AddMetadata(contract::kWorkerTokenHeader, kToken);
    Response response;
    return ((*stub).*method)(&context, request, &response);
  }
  void Assign(uint64_t lease_ms = 60'000) {
    proto::AssignRequest request;
    request.set_contract_version(contract::kContractVersion);
    request.set_user_id("alice");
    request.set_lease_ms(lease_ms);
    const auto status = Call(&proto::Worker::Stub::Assign, request);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  arrow::Status Query(const std::string& sql) const {
    ARROW_ASSIGN_OR_RAISE(const auto location, fl::Location::ForGrpcTcp("127.0.0.1", port_));
    ARROW_ASSIGN_OR_RAISE(const auto client, fl::FlightClient::Connect(location));
    fl::FlightCallOptions options;
    options.headers.emplace_back(contract::kWorkerTokenHeader, kToken);
    options.timeout = fl::TimeoutDuration(60);
    ARROW_ASSIGN_OR_RAISE(const auto info,
                          client->GetFlightInfo(options, fl::FlightDescriptor::Command(sql)));
    ARROW_ASSIGN_OR_RAISE(auto reader, client->DoGet(options, info->endpoints()[0].ticket));
    return reader->ToTable().status();
  }

  static grpc::Status StatusAt(const std::string& target) {
    const auto stub = proto::Worker::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(30));
    context.AddMetadata(contract::kWorkerTokenHeader, kToken);
    proto::StatusResponse response;
    return stub->Status(&context, {}, &response);
  }

  const int port_ = FreePort();
  std::string folder_;
};

TEST_F(WorkerTest, ADescriptorThatIsNoListeningSocketIsAClearError) {
  for (const char* number : {"900", "0", "three"}) {
    Environment environment = Sensible();
    environment[contract::kSocketDescriptorEnv] = number;
    Process worker(environment, Output());
    EXPECT_EQ(worker.ExitCode(), 2) << number;
    EXPECT_THAT(worker.Output(), HasSubstr(contract::kSocketDescriptorEnv));
    EXPECT_THAT(worker.Output(), HasSubstr(number));
  }
}

TEST_F(WorkerTest, SaysWhichSettingIsMissing) {
  for (const char* name : {contract::kWorkerTokenSha256Env, contract::kWorkerIdEnv, contract::kMemoryBytesEnv,
                           contract::kCpuCoresEnv}) {
    Environment environment = Sensible();
    environment.erase(name);
    Process worker(environment, Output());
    EXPECT_EQ(worker.ExitCode(), 2) << name;
    EXPECT_THAT(worker.Output(), HasSubstr(name));
  }
}

TEST_F(WorkerTest, SaysWhichSettingIsWrong) {
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {contract::kWorkerTokenSha256Env, "abc"},
           {contract::kWorkerTokenSha256Env, std::string(64, 'z')},
           {contract::kMemoryBytesEnv, "lots"},
           {contract::kMemoryBytesEnv, "1"},
           {contract::kMemoryBytesEnv, "536870912x"},
           {contract::kMemoryBytesEnv, "-1"},
           {contract::kCpuCoresEnv, "0"},
           {contract::kCpuCoresEnv, "nan"},
           {contract::kCpuCoresEnv, "inf"},
           {contract::kMemoryBytesEnv, "18446744073709551615"},
           {contract::kListenEnv, "no port at all"},
           {contract::kSpillDirEnv, "/no/such/folder"}}) {
    Environment environment = Sensible();
    environment[name] = value;
    Process worker(environment, Output());
    EXPECT_EQ(worker.ExitCode(), 2) << name << "=" << value << "\n" << worker.Output();
    EXPECT_THAT(worker.Output(), HasSubstr(name == contract::kSpillDirEnv ? value : name));
    EXPECT_THAT(worker.Output(), testing::Not(HasSubstr(base::Sha256Hex(kToken))));
  }
}

TEST_F(WorkerTest, SaysThatItsPortIsTaken) {
  Process first(Sensible(), Output());
  ASSERT_TRUE(first.Says("Worker ready")) << first.Output();
  Process second(Sensible(), folder_ + "/second");
  EXPECT_EQ(second.ExitCode(), 3);
  EXPECT_THAT(second.Output(), HasSubstr(std::to_string(port_)));
}

TEST_F(WorkerTest, ServesAndStopsWhenAsked) {
  Process worker(Sensible(), Output());
  ASSERT_TRUE(worker.Says("Worker ready")) << worker.Output();
  ASSERT_NO_FATAL_FAILURE(Assign());
  const auto answer = Query("SELECT 42");
  EXPECT_TRUE(answer.ok()) << answer.ToString();
  worker.Terminate();
  EXPECT_EQ(worker.ExitCode(seconds(5)), 0) << worker.Output();
}

TEST_F(WorkerTest, ServesTheSocketThatItIsGivenAndNoPort) {
  Environment environment = Sensible();
  const std::string path = folder_ + "/" + contract::kSocketName;
  environment[contract::kSocketEnv] = path;
  base::Descriptor listening = base::ListenUnix(path, 8);
  Process worker(environment, Output());
  pollfd asks{listening.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&asks, 1, 20'000), 1) << worker.Output();
  EXPECT_TRUE(base::SendDescriptor(Accept(listening).get(), listening.get()));
  listening.Close();
  ASSERT_TRUE(worker.Says("Worker ready")) << worker.Output();
  for (int i = 0; i < 2; ++i) {
    const auto status = StatusAt("unix:" + path);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  EXPECT_EQ(StatusAt("127.0.0.1:" + std::to_string(port_)).error_code(), grpc::StatusCode::UNAVAILABLE);
  worker.Terminate();
  EXPECT_EQ(worker.ExitCode(seconds(5)), 0) << worker.Output();
}

TEST_F(WorkerTest, WithoutTheSocketItListensOnItsPort) {
  base::ListenUnix(folder_ + "/stale", 8).Close();
  const base::Descriptor mute = base::ListenUnix(folder_ + "/mute", 8);
  std::jthread closes([&] {
    pollfd asks{mute.get(), POLLIN, 0};
    if (::poll(&asks, 1, 20'000) == 1) Accept(mute);
  });
  for (const std::string& name :
       {std::string("missing/s"), std::string(200, 's'), std::string("stale"), std::string("mute")}) {
    Environment environment = Sensible();
    environment[contract::kSocketEnv] = folder_ + "/" + name;
    Process worker(environment, Output());
    ASSERT_TRUE(worker.Says("Worker ready")) << name << worker.Output();
    EXPECT_TRUE(StatusAt("127.0.0.1:" + std::to_string(port_)).ok()) << name;
    worker.Terminate();
    EXPECT_EQ(worker.ExitCode(seconds(5)), 0) << name << worker.Output();
  }
  closes.join();
}

TEST_F(WorkerTest, WhatIsNoListeningSocketIsNotTakenForOne) {
  Environment environment = Sensible();
  const std::string path = folder_ + "/" + contract::kSocketName;
  environment[contract::kSocketEnv] = path;
  const base::Descriptor listening = base::ListenUnix(path, 8);
  Process worker(environment, Output());
  pollfd asks{listening.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&asks, 1, 20'000), 1) << worker.Output();
  const base::Descriptor connection = Accept(listening);
  EXPECT_TRUE(base::SendDescriptor(connection.get(), connection.get()));
  ASSERT_TRUE(worker.Says("Worker ready")) << worker.Output();
  EXPECT_TRUE(StatusAt("127.0.0.1:" + std::to_string(port_)).ok());
}

TEST_F(WorkerTest, AStatementThatDoesNotEndIsStoppedAfterTheGrace) {
  Process worker(Sensible(), Output());
  ASSERT_TRUE(worker.Says("Worker ready")) << worker.Output();
  ASSERT_NO_FATAL_FAILURE(Assign());
  arrow::Status status;
  std::thread endless([&] {
    status = Query("SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1");
  });
  EXPECT_TRUE(Eventually([&] {
    const auto stub = proto::Worker::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(port_), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.AddMetadata(contract::kWorkerTokenHeader, kToken);
    proto::StatusResponse response;
    return stub->Status(&context, {}, &response).ok() && response.running_statements() == 1;
  }));
  worker.Terminate();
  EXPECT_EQ(worker.ExitCode(seconds(15)), 0) << worker.Output();
  endless.join();
  EXPECT_FALSE(status.ok());
}

TEST_F(WorkerTest, ADrainedWorkerEndsWithItsLastStatement) {
  Process worker(Sensible(), Output());
  ASSERT_TRUE(worker.Says("Worker ready")) << worker.Output();
  ASSERT_NO_FATAL_FAILURE(Assign());
  EXPECT_TRUE(Call(&proto::Worker::Stub::Drain, proto::DrainRequest()).ok());
  EXPECT_EQ(worker.ExitCode(seconds(10)), 0) << worker.Output();
  EXPECT_THAT(worker.Output(), HasSubstr("drained"));
}

TEST_F(WorkerTest, AWorkerWithoutAProxyEnds) {
  Process worker(Sensible(), Output());
  ASSERT_TRUE(worker.Says("Worker ready")) << worker.Output();
  ASSERT_NO_FATAL_FAILURE(Assign(1'000));
  EXPECT_EQ(worker.ExitCode(seconds(15)), 0) << worker.Output();
  EXPECT_THAT(worker.Output(), HasSubstr("lease_expired"));
}

// levenshtein looks at no interrupt before it is done, here after minutes.
TEST_F(WorkerTest, AStatementThatHearsNothingEndsWithTheProcess) {
  Process worker(Sensible(), Output());
  ASSERT_TRUE(worker.Says("Worker ready")) << worker.Output();
  ASSERT_NO_FATAL_FAILURE(Assign(3'000));
  arrow::Status status;
  std::thread deaf([&] {
    status =
        Query("SELECT levenshtein(repeat('a', 700000), repeat('b', 700000) || range::VARCHAR) FROM range(1)");
  });
  // Nobody asks for its status: its lease ends while the statement runs.
  EXPECT_EQ(worker.ExitCode(seconds(25)), 4) << worker.Output();
  EXPECT_THAT(worker.Output(), HasSubstr("Worker ended by force"));
  deaf.join();
  EXPECT_FALSE(status.ok());
}

}  // namespace
}  // namespace pondpilot::worker
