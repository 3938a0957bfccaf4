#pragma once

#include <grpcpp/server_builder.h>

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "contract/control.grpc.pb.h"

namespace pondpilot::worker::control {

// Answers Status on a thread and with objects that are there before it is asked: while a statement takes all
// the memory there is, no thread can be made for a call, and a worker that does not answer is taken for dead.
// Sleeps until a call comes; gRPC's own threads for callbacks look around several times a second.
class StatusCalls {
 public:
  using Service = pondpilot::control::v1::Worker::WithAsyncMethod_Status<pondpilot::control::v1::Worker::Service>;
  // Runs on the thread; short.
  using Answer =
      std::function<grpc::Status(const grpc::ServerContextBase&, pondpilot::control::v1::StatusResponse*)>;

  // `service` is the one that the server has; it must outlive this.
  StatusCalls(Service& service, Answer answer);
  // After the server's end.
  ~StatusCalls();
  StatusCalls(const StatusCalls&) = delete;
  StatusCalls& operator=(const StatusCalls&) = delete;

  // While the server is being built.
  void AttachTo(grpc::ServerBuilder& builder);
  // When the server has been built; calls that came before wait for it.
  void Start();

 private:
  class Call;
  // At the same time; more wait. The proxy has one under way.
  static constexpr size_t kCalls = 4;

  void Run();
  // Nothing may be put into the queue any more once it ends.
  void IfRunning(const std::function<void()>& enqueue);

  Service& service_;
  const Answer answer_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::array<std::unique_ptr<Call>, kCalls> calls_;
  std::mutex mutex_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pondpilot::worker::control
