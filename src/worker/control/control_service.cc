#include "worker/control/control_service.h"

#include <algorithm>
#include <chrono>

#include "contract/names.h"
#include "telemetry/log.h"
#include "worker/control/process_usage.h"
#include "worker/engine/allocator.h"
#include "worker/session/call_token.h"

namespace pondpilot::worker::control {
namespace {

namespace proto = pondpilot::control::v1;
using grpc::StatusCode;

// A day. Orphans must end, whatever the proxy asks for.
constexpr uint64_t kMaxLeaseMs = 24ull * 60 * 60 * 1000;

// A year; a longer time is none that anybody sees the end of, and must not overflow.
constexpr uint64_t kMaxStatementMs = 365ull * 24 * 60 * 60 * 1000;

engine::ServerTarget ToTarget(const proto::ServerTarget& in) {
  engine::ServerTarget out;
  out.host = in.host();
  out.port = static_cast<uint16_t>(in.port());
  out.database = in.database();
  out.user = in.user();
  out.password = base::Secret(in.password());
  for (const auto& [name, value] : in.options()) out.options.emplace_back(name, value);
  return out;
}

// False for an attachment that says nothing sensible.
bool ToAttachment(const proto::Attachment& in, engine::Attachment* out) {
  using Kind = engine::Attachment::Kind;
  out->alias = in.alias();
  out->read_only = in.read_only();
  switch (in.target_case()) {
    case proto::Attachment::kPostgres:
    case proto::Attachment::kMysql: {
      const bool postgres = in.target_case() == proto::Attachment::kPostgres;
      const proto::ServerTarget& server = postgres ? in.postgres() : in.mysql();
      if (server.host().empty() || server.port() == 0 || server.port() > 65535) return false;
      out->kind = postgres ? Kind::kPostgres : Kind::kMysql;
      out->server = ToTarget(server);
      break;
    }
    case proto::Attachment::kSqlitePath:
      if (!in.sqlite_path().starts_with('/')) return false;
      out->kind = Kind::kSqlite;
      out->sqlite_path = in.sqlite_path();
      break;
    case proto::Attachment::kUnavailable:
      out->kind = Kind::kUnavailable;
      out->unavailable_reason = in.unavailable();
      break;
    case proto::Attachment::TARGET_NOT_SET:
      return false;
  }
  return !out->alias.empty();
}

template <typename Response>
void Report(const std::vector<engine::AttachmentState>& states, Response* response) {
  for (const engine::AttachmentState& state : states) {
    auto* out = response->add_attachments();
    out->set_alias(state.alias);
    out->set_available(state.available);
    out->set_reason(state.reason);
  }
}

}  // namespace

ControlService::ControlService(engine::Engine& engine, session::StatementRunner& runner, Lease& lease,
                               std::string token_sha256, std::function<void()> start_serving,
                               std::function<void()> wake)
    : engine_(engine),
      runner_(runner),
      lease_(lease),
      token_sha256_(std::move(token_sha256)),
      start_serving_(std::move(start_serving)),
      wake_(std::move(wake)),
      status_calls_(*this, [this](const grpc::ServerContextBase& context, proto::StatusResponse* response) {
        return AnswerStatus(context, response);
      }) {}

void ControlService::AttachTo(grpc::ServerBuilder& builder) {
  builder.RegisterService(this);
  status_calls_.AttachTo(builder);
}

void ControlService::Grant(std::chrono::milliseconds lease) {
  lease_.Grant(lease);
  wake_();
}

grpc::Status ControlService::Assign(grpc::ServerContext* context, const proto::AssignRequest* request,
                                    proto::AssignResponse* response) {
  if (grpc::Status checked = session::CheckCallToken(*context, token_sha256_); !checked.ok()) return checked;
  if (request->contract_version() != contract::kContractVersion) {
    return {StatusCode::FAILED_PRECONDITION,
            "The proxy speaks version " + std::to_string(request->contract_version()) +
                " of the control contract, this worker " + std::to_string(contract::kContractVersion) +
                ": use images of one build."};
  }
  if (request->lease_ms() == 0 || request->lease_ms() > kMaxLeaseMs) {
    return {StatusCode::INVALID_ARGUMENT, "The lease is " + std::to_string(request->lease_ms()) +
                                              " ms; allowed: 1 to " + std::to_string(kMaxLeaseMs) + "."};
  }
  if (request->user_id().empty()) return {StatusCode::INVALID_ARGUMENT, "Assign names no user."};
  std::vector<engine::Attachment> attachments;
  for (const proto::Attachment& in : request->attachments()) {
    engine::Attachment attachment;
    if (!ToAttachment(in, &attachment))
      return {StatusCode::INVALID_ARGUMENT, "An attachment has no alias or no target."};
    attachments.push_back(std::move(attachment));
  }
  const std::lock_guard lock(mutex_);
  if (assigned_) return {StatusCode::FAILED_PRECONDITION, "This worker has a user already."};
  assigned_ = true;
  // Attaching can take longer than a lease, and nobody asks for the status meanwhile; it has bounds of its
  // own.
  Grant(std::chrono::milliseconds(kMaxLeaseMs));
  const auto states =
      engine_.AttachAndLockDown(attachments, {request->extensions().begin(), request->extensions().end()});
  if (!states) {
    Grant(std::chrono::milliseconds(request->lease_ms()));
    telemetry::Log(telemetry::Level::kError, "Assign failed",
                   {{"error", states.error().message}, {"detail", states.error().detail}});
    return {StatusCode::INTERNAL, states.error().message + " " + states.error().detail};
  }
  runner_.SetStatementTimeout(
      std::chrono::milliseconds(std::min(request->statement_timeout_ms(), kMaxStatementMs)));
  Report(*states, response);
  {
    const std::lock_guard identity(identity_mutex_);
    user_id_ = request->user_id();
    assignment_ = request->assignment();
  }
  Grant(std::chrono::milliseconds(request->lease_ms()));
  start_serving_();
  telemetry::Log(telemetry::Level::kInfo, "Worker assigned", {{"databases", states->size()}});
  return grpc::Status::OK;
}

grpc::Status ControlService::AnswerStatus(const grpc::ServerContextBase& context,
                                          proto::StatusResponse* response) {
  if (grpc::Status checked = session::CheckCallToken(context, token_sha256_); !checked.ok()) return checked;
  lease_.Renew();
  ReleaseWhenIdle();
  Fill(response);
  return grpc::Status::OK;
}

// Idle workers are many: what the last statements have freed goes back. Allocators keep it for later ones.
void ControlService::ReleaseWhenIdle() {
  constexpr std::chrono::seconds kIdle(2);
  const auto activity = runner_.activity().Get();
  const bool idle = activity.running_statements == 0 && activity.open_streams == 0 && activity.idle >= kIdle;
  if (!idle || released_after_ == activity.begun) return;
  engine::ReleaseFreedMemory();
  released_after_ = activity.begun;
}

void ControlService::Fill(proto::StatusResponse* response) const {
  Report(engine_.attachments(), response);
  const auto activity = runner_.activity().Get();
  const auto sessions = runner_.sessions().Count();
  response->set_running_statements(activity.running_statements);
  response->set_open_streams(activity.open_streams);
  response->set_open_transactions(sessions.open_transactions);
  response->set_sessions(sessions.sessions);
  response->set_idle_ms(static_cast<uint64_t>(activity.idle.count()));
  response->set_kept_objects(sessions.with_state + static_cast<uint32_t>(runner_.prepared().Count()));
  response->set_healthy(engine_.healthy() && !runner_.draining());
  const ProcessUsage usage = ReadProcessUsage();
  response->set_resident_bytes(usage.resident_bytes);
  response->set_peak_resident_bytes(usage.peak_resident_bytes);
  response->set_cpu_ms(usage.cpu_ms);
  response->set_engine_buffer_bytes(engine_.BufferBytes());
  const std::lock_guard identity(identity_mutex_);
  response->set_user_id(user_id_);
  response->set_assignment(assignment_);
}

grpc::Status ControlService::Drain(grpc::ServerContext* context, const proto::DrainRequest*,
                                   proto::DrainResponse*) {
  if (grpc::Status checked = session::CheckCallToken(*context, token_sha256_); !checked.ok()) return checked;
  runner_.Drain();
  wake_();
  return grpc::Status::OK;
}

}  // namespace pondpilot::worker::control
