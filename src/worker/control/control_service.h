#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>

#include "contract/control.grpc.pb.h"
#include "worker/control/lease.h"
#include "worker/engine/engine.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::control {

// The worker's side of the control contract (contract/control.proto). Every call must carry the worker's
// token.
class ControlService final : public pondpilot::control::v1::Worker::WithCallbackMethod_Status<
                                 pondpilot::control::v1::Worker::Service> {
 public:
  // Everything must outlive the service. `start_serving` runs once, when the worker has become a user's;
  // `wake` when the worker may have to end at another time than before: the lease is of another length, or
  // the worker is to end with its last statement.
  ControlService(engine::Engine& engine, session::StatementRunner& runner, Lease& lease,
                 std::string token_sha256, std::function<void()> start_serving, std::function<void()> wake);

  grpc::Status Assign(grpc::ServerContext* context, const pondpilot::control::v1::AssignRequest* request,
                      pondpilot::control::v1::AssignResponse* response) override;
  // Answered on a thread that gRPC has already: while a statement takes all the memory there is, no thread
  // can be made for a call, and a worker that does not answer is taken for dead.
  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context,
                                   const pondpilot::control::v1::StatusRequest* request,
                                   pondpilot::control::v1::StatusResponse* response) override;
  grpc::Status Drain(grpc::ServerContext* context, const pondpilot::control::v1::DrainRequest* request,
                     pondpilot::control::v1::DrainResponse* response) override;

 private:
  void Grant(std::chrono::milliseconds lease);
  void Fill(pondpilot::control::v1::StatusResponse* response) const;

  engine::Engine& engine_;
  session::StatementRunner& runner_;
  Lease& lease_;
  const std::string token_sha256_;
  const std::function<void()> start_serving_;
  const std::function<void()> wake_;
  std::mutex mutex_;  // held while Assign works
  bool assigned_ = false;

  // What Assign said, once it has succeeded.
  mutable std::mutex identity_mutex_;
  std::string user_id_;
  std::string assignment_;
};

}  // namespace pondpilot::worker::control
