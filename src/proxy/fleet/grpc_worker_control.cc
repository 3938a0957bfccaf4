#include "proxy/fleet/grpc_worker_control.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <grpc/grpc.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <mutex>
#include <utility>

#include "contract/control.grpc.pb.h"
#include "contract/names.h"
#include "proxy/fleet/await_operation.h"
#include "proxy/fleet/control_queue.h"
#include "proxy/fleet/listening.h"

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
namespace control = pondpilot::control::v1;
using base::ErrorCode;
using std::chrono::milliseconds;

constexpr int kMaxMetadataBytes = 256 << 10;
// The least that gRPC accepts; it takes less for a mistake or for this.
constexpr int kFirstReconnectMs = 100;
constexpr int kLongestReconnectMs = 1000;
// gRPC takes this also for the least time that one attempt to connect may take: on a busy machine it does.
constexpr int kConnectAttemptMs = 1000;
constexpr int kKeepAliveMs = 10'000;
constexpr int kKeepAliveTimeoutMs = 5'000;
constexpr char kControlBounds[] =
    R"({"methodConfig":[{"name":[{"service":"pondpilot.control.v1.Worker"}],"maxResponseMessageBytes":262144}]})";
constexpr uint64_t kLeaseMs = 60'000;
constexpr milliseconds kRetryPause(50);

ErrorCode CodeOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::CANCELLED:
      return ErrorCode::kCancelled;
    case grpc::StatusCode::INVALID_ARGUMENT:
      return ErrorCode::kInvalidArgument;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return ErrorCode::kDeadlineExceeded;
    case grpc::StatusCode::NOT_FOUND:
      return ErrorCode::kNotFound;
    case grpc::StatusCode::ALREADY_EXISTS:
      return ErrorCode::kAlreadyExists;
    case grpc::StatusCode::PERMISSION_DENIED:
      return ErrorCode::kPermissionDenied;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return ErrorCode::kResourceExhausted;
    case grpc::StatusCode::FAILED_PRECONDITION:
      return ErrorCode::kFailedPrecondition;
    case grpc::StatusCode::ABORTED:
      return ErrorCode::kAborted;
    case grpc::StatusCode::UNIMPLEMENTED:
      return ErrorCode::kUnimplemented;
    case grpc::StatusCode::UNAVAILABLE:
      return ErrorCode::kUnavailable;
    case grpc::StatusCode::UNAUTHENTICATED:
      return ErrorCode::kUnauthenticated;
    default:
      return ErrorCode::kInternal;
  }
}

std::unexpected<base::Error> Failure(const char* call, const grpc::Status& status) {
  return base::Fail(CodeOf(status.error_code()), std::string("The worker's ") + call + " call failed.",
                    status.error_message());
}

// One call: what has to live until gRPC is done with it.
template <typename Request, typename Response>
struct Call {
  grpc::ClientContext context;
  Request request;
  Response response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
};

using Stub = control::Worker::Stub;

template <typename Request, typename Response>
using Method = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (Stub::*)(grpc::ClientContext*,
                                                                                    const Request&,
                                                                                    grpc::CompletionQueue*);

// Makes the call and completes with its status, on the executor of the coroutine that waits.
template <typename Request, typename Response>
asio::awaitable<grpc::Status> Perform(Stub& stub, ControlQueue& queue,
                                      std::shared_ptr<Call<Request, Response>> call,
                                      Method<Request, Response> method) {
  const std::shared_ptr<grpc::ClientContext> context(call, &call->context);
  co_await AwaitOperation(queue, context, [&stub, &queue, &call, method](void* tag) {
    call->reader = (stub.*method)(&call->context, call->request, queue.queue());
    call->reader->Finish(&call->response, &call->status, tag);
  });
  co_return std::move(call->status);
}

std::vector<AttachmentState> States(
    const google::protobuf::RepeatedPtrField<control::AttachmentStatus>& attachments) {
  std::vector<AttachmentState> states;
  for (const auto& attachment : attachments) {
    states.push_back({attachment.alias(), attachment.available(), attachment.reason()});
  }
  return states;
}

void FillTarget(const config::ServerTarget& from, control::ServerTarget* to) {
  to->set_host(from.host);
  to->set_port(from.port);
  to->set_database(from.database);
  to->set_user(from.user);
  to->set_password(from.password.Reveal());
  to->mutable_options()->insert(from.options.begin(), from.options.end());
}

control::AssignRequest MakeRequest(const config::Config::DuckDb& duckdb) {
  control::AssignRequest request;
  request.set_contract_version(contract::kContractVersion);
  request.set_lease_ms(kLeaseMs);
  request.set_statement_timeout_ms(static_cast<uint64_t>(duckdb.statement_timeout.count()));
  for (const config::AttachedDatabase& database : duckdb.attached_databases) {
    control::Attachment* attachment = request.add_attachments();
    attachment->set_alias(database.alias);
    attachment->set_read_only(database.read_only);
    if (database.unavailable) {
      attachment->set_unavailable(*database.unavailable);
    } else if (database.sqlite_path) {
      attachment->set_sqlite_path(*database.sqlite_path);
    } else if (database.server) {
      FillTarget(*database.server, database.kind == config::DatabaseKind::kMysql
                                       ? attachment->mutable_mysql()
                                       : attachment->mutable_postgres());
    } else {
      attachment->set_unavailable("The configuration of this database names no target.");
    }
  }
  for (const std::string& extension : duckdb.extensions) {
    // Arrow is what a worker speaks anyway; there is nothing to load.
    if (extension != "arrow") request.add_extensions(extension);
  }
  return request;
}

class GrpcWorkerControl final : public WorkerControl {
 public:
  // `assign` gives what workers are assigned at the moment.
  GrpcWorkerControl(const launch::LaunchedWorker& worker, base::Secret token,
                    std::function<control::AssignRequest()> assign, std::shared_ptr<ControlQueue> queue)
      : address_(worker.address),
        socket_(worker.socket),
        token_(std::move(token)),
        assign_(std::move(assign)),
        queue_(std::move(queue)) {}

  asio::awaitable<base::Result<void>> AwaitReady(milliseconds timeout) override {
    const auto deadline = std::chrono::system_clock::now() + timeout;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    co_await Find(timeout);
    while (true) {
      auto call = Prepare<control::StatusRequest, control::StatusResponse>(deadline);
      call->context.set_wait_for_ready(true);
      const grpc::Status status = co_await Perform(*stub_, *queue_, call, kStatus);
      if (status.ok()) co_return base::Result<void>();
      // The connection may break while the worker comes up.
      if (status.error_code() != grpc::StatusCode::UNAVAILABLE ||
          std::chrono::system_clock::now() + kRetryPause >= deadline) {
        co_return Failure("Status", status);
      }
      timer.expires_after(kRetryPause);
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  asio::awaitable<base::Result<std::vector<AttachmentState>>> Assign(Assignment assignment,
                                                                     milliseconds timeout) override {
    const auto deadline = std::chrono::system_clock::now() + timeout;
    co_await Find(timeout);
    auto call = Prepare<control::AssignRequest, control::AssignResponse>(deadline);
    call->request = assign_();
    call->request.set_user_id(std::move(assignment.user_id));
    call->request.set_assignment(std::move(assignment.proof));
    const grpc::Status status = co_await Perform(*stub_, *queue_, call, kAssign);
    if (!status.ok()) co_return Failure("Assign", status);
    co_return States(call->response.attachments());
  }

  asio::awaitable<base::Result<WorkerActivity>> Status(milliseconds timeout) override {
    const auto deadline = std::chrono::system_clock::now() + timeout;
    co_await Find(timeout);
    auto call = Prepare<control::StatusRequest, control::StatusResponse>(deadline);
    const grpc::Status status = co_await Perform(*stub_, *queue_, call, kStatus);
    if (!status.ok()) co_return Failure("Status", status);
    const auto& response = call->response;
    co_return WorkerActivity{.attachments = States(response.attachments()),
                             .running_statements = response.running_statements(),
                             .open_streams = response.open_streams(),
                             .open_transactions = response.open_transactions(),
                             .kept_objects = response.kept_objects(),
                             .idle = milliseconds(std::min<uint64_t>(response.idle_ms(), INT64_MAX)),
                             .healthy = response.healthy(),
                             .resident_bytes = response.resident_bytes(),
                             .peak_resident_bytes = response.peak_resident_bytes(),
                             .cpu = milliseconds(std::min<uint64_t>(response.cpu_ms(), INT64_MAX)),
                             .user_id = response.user_id(),
                             .assignment = response.assignment()};
  }

  asio::awaitable<base::Result<void>> Drain(milliseconds timeout) override {
    const auto deadline = std::chrono::system_clock::now() + timeout;
    co_await Find(timeout);
    auto call = Prepare<control::DrainRequest, control::DrainResponse>(deadline);
    const grpc::Status status = co_await Perform(*stub_, *queue_, call, kDrain);
    if (!status.ok()) co_return Failure("Drain", status);
    co_return base::Result<void>();
  }

  std::shared_ptr<grpc::Channel> channel() const override { return channel_; }

 private:
  // Before the first call. A worker that can't be found is called at its address: the call says what is
  // wrong.
  asio::awaitable<void> Find(milliseconds timeout) {
    if (stub_) co_return;
    Doors doors{.address = EndpointOf(address_), .socket = socket_};
    const Door door = co_await AwaitListening(std::move(doors), timeout);
    Open(door == Door::kSocket ? "unix:" + socket_->path() : address_);
  }

  void Open(const std::string& target) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetMaxSendMessageSize(-1);
    arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    // What each call would pay for and this connection has no use of: calls that gRPC repeats by itself (it
    // would keep a copy of every message for that), statistics for channelz, compression.
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
    arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
    // What a worker says of itself is short, whoever speaks for it.
    arguments.SetServiceConfigJSON(kControlBounds);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectAttemptMs);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLongestReconnectMs);
    if (!target.starts_with("unix:")) {
      // A network can be lost without a word: calls that are being relayed then end, instead of at their
      // deadlines.
      arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepAliveMs);
      arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepAliveTimeoutMs);
      arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    }
    channel_ = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
    stub_ = control::Worker::NewStub(channel_);
  }

  static constexpr Method<control::AssignRequest, control::AssignResponse> kAssign = &Stub::AsyncAssign;
  static constexpr Method<control::StatusRequest, control::StatusResponse> kStatus = &Stub::AsyncStatus;
  static constexpr Method<control::DrainRequest, control::DrainResponse> kDrain = &Stub::AsyncDrain;

  template <typename Request, typename Response>
  std::shared_ptr<Call<Request, Response>> Prepare(std::chrono::system_clock::time_point deadline) const {
    auto call = std::make_shared<Call<Request, Response>>();
    call->context.set_deadline(deadline);
    call->context.AddMetadata(contract::kWorkerTokenHeader, token_.Reveal());
    return call;
  }

  const std::string address_;
  const std::shared_ptr<launch::WorkerSocket> socket_;
  const base::Secret token_;
  const std::function<control::AssignRequest()> assign_;
  const std::shared_ptr<ControlQueue> queue_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
};

}  // namespace

class GrpcWorkerControlFactory::Template {
 public:
  explicit Template(control::AssignRequest request) : request_(std::move(request)) {}

  control::AssignRequest Get() const {
    const std::scoped_lock lock(mutex_);
    return request_;
  }
  void Set(control::AssignRequest request) {
    const std::scoped_lock lock(mutex_);
    request_ = std::move(request);
  }

 private:
  mutable std::mutex mutex_;
  control::AssignRequest request_;
};

GrpcWorkerControlFactory::GrpcWorkerControlFactory(const config::Config::DuckDb& duckdb)
    : template_(std::make_shared<Template>(MakeRequest(duckdb))), queue_(std::make_shared<ControlQueue>()) {}

GrpcWorkerControlFactory::~GrpcWorkerControlFactory() = default;

void GrpcWorkerControlFactory::Reconfigure(const config::Config::DuckDb& duckdb) {
  template_->Set(MakeRequest(duckdb));
}

base::Secret GrpcWorkerControlFactory::Terms() const {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream to(&bytes);
    google::protobuf::io::CodedOutputStream out(&to);
    // Maps too in an order of their own.
    out.SetSerializationDeterministic(true);
    template_->Get().SerializeToCodedStream(&out);
  }
  return base::Secret(std::move(bytes));
}

std::shared_ptr<WorkerControl> GrpcWorkerControlFactory::Connect(const launch::LaunchedWorker& worker,
                                                                 const base::Secret& token) {
  return std::make_shared<GrpcWorkerControl>(
      worker, token, [current = template_] { return current->Get(); }, queue_);
}

}  // namespace pondpilot::proxy::fleet
