#pragma once

#include <chrono>
#include <functional>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "contract/control.grpc.pb.h"
#include "worker/control/lease.h"
#include "worker/control/status_calls.h"
#include "worker/engine/engine.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::control {

// The worker's side of the control contract (contract/control.proto). Every call must carry the worker's
// token.
class ControlService final : public StatusCalls::Service {
 public:
  // Everything must outlive the service, which outlives the server. `start_serving` runs once, when the worker has become a user's;
  // `wake` when the worker may have to end at another time than before: the lease is of another length, or
  // the worker is to end with its last statement.
  ControlService(engine::Engine& engine, session::StatementRunner& runner, Lease& lease,
                 std::string token_sha256, std::function<void()> start_serving, std::function<void()> wake);

  // While the server is being built.
  void AttachTo(grpc::ServerBuilder& builder);
  // When the server has been built: from then on Status is answered.
  void Start() { status_calls_.Start(); }

  grpc::Status Assign(grpc::ServerContext* context, const pondpilot::control::v1::AssignRequest* request,
                      pondpilot::control::v1::AssignResponse* response) override;
  grpc::Status Drain(grpc::ServerContext* context, const pondpilot::control::v1::DrainRequest* request,
                     pondpilot::control::v1::DrainResponse* response) override;

 private:
  void Grant(std::chrono::milliseconds lease);
  grpc::Status AnswerStatus(const grpc::ServerContextBase& context,
                            pondpilot::control::v1::StatusResponse* response);
  void ReleaseWhenIdle();
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

  // What had begun when memory was given back last. Used by the calls of Status alone, one after the other.
  std::optional<uint64_t> released_after_;
  StatusCalls status_calls_;  // its thread uses what stands above
};

}  // namespace pondpilot::worker::control
