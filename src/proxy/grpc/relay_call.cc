#include "proxy/grpc/relay_call.h"

#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "contract/names.h"
#include "proxy/fleet/shutting_down.h"
#include "proxy/grpc/airport_calls.h"
#include "proxy/grpc/caller.h"
#include "proxy/grpc/metadata.h"
#include "proxy/grpc/status.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace pondpilot::proxy::grpc {
namespace {

using base::ErrorCode;

// A client that has opened a call must send its first message within this time.
constexpr std::chrono::seconds kFirstMessageWait(30);

// A request of one message is a statement, a ticket or an action. Data comes in streams (DoPut, DoExchange),
// which are not bounded.
constexpr size_t kMaxRequestBytes = 16 << 20;

}  // namespace

void RelayCall::Step::Fire(bool ok) {
  RelayCall* call = call_;
  (call->*action_)(ok);
  if (--call->pending_ == 0) delete call;
}

void RelayCall::Await(Relay& relay, CompletionLoop& loop) {
  auto* call = new RelayCall(relay, loop);  // freed by its last Step
  relay.service.RequestCall(&call->server_context_, &call->client_, loop.queue(), loop.queue(),
                            call->Pending(call->arrived_));
}

RelayCall::RelayCall(Relay& relay, CompletionLoop& loop)
    : relay_(relay), loop_(loop), services_(relay.services), client_(&server_context_) {
  relay_.live.Enter(upstream_context_);
  // Its tag comes only for a call that has arrived; it is counted there.
  server_context_.AsyncNotifyWhenDone(&client_done_);
}

RelayCall::~RelayCall() {
  early_place_ = {};
  relay_.live.Leave(upstream_context_);  // after it the relay may be gone
}

void* RelayCall::Pending(Step& step) {
  ++pending_;
  return &step;
}

// ---- Arrival

void RelayCall::OnArrived(bool ok) {
  if (!ok) return;  // the server shuts down
  ++pending_;       // client_done_
  Await(relay_, loop_);
  arrived_at_ = services_.clock->Now();
  request_id_ = RequestId(server_context_.client_metadata());
  server_context_.AddInitialMetadata(contract::kRequestIdHeader, request_id_);
  method_ = FindMethod(server_context_.method());
  if (method_ == nullptr) {
    FinishError({ErrorCode::kUnimplemented,
                 "This port serves Arrow Flight and Flight SQL only (arrow.flight.protocol.FlightService).",
                 "",
                 {}});
    return;
  }
  Authenticate();
}

void RelayCall::OnClientDone(bool) {
  if (!server_context_.IsCancelled()) return;
  client_gone_ = true;
  if (handover_) services_.fleet->Withdraw(principal_.user_id, wait_ticket_);
  if (upstream_started_) upstream_context_.TryCancel();
  if (verdict_alarm_) verdict_alarm_->Cancel();
  if (silence_alarm_) silence_alarm_->Cancel();
}

void RelayCall::Authenticate() {
  auto caller =
      IdentifyCaller(server_context_.client_metadata(), *method_, *services_.verifier, relay_.identifiers);
  if (services_.tracer != nullptr) BeginSpan(caller.has_value());
  if (!caller) {
    const base::Result<void> told = services_.admit_stranger(
        server_context_.peer(), JoinedValues(server_context_.client_metadata(), "x-forwarded-for"));
    return FinishRefused(told ? caller.error() : told.error());
  }
  principal_ = std::move(caller->principal);
  by_identifier_ = caller->by_identifier;
  if (method_->counted && services_.draining->load()) {
    return FinishError({ErrorCode::kUnavailable, fleet::kShuttingDown, "", {}});
  }
  // What an action is for stands in its message.
  if (method_->counted && !IsAirportAction(*method_, server_context_.client_metadata()) && !Admit()) return;
  switch (method_->flow) {
    case Flow::kHandshake: {
      const std::string_view header = AuthorizationOf(server_context_.client_metadata());
      // The token that was checked is the token to go on with, whether it came as Bearer or as Basic's
      // password.
      const base::Result<std::string> bearer = auth::TokenFromAuthorization(header);
      if (!bearer) return FinishError(bearer.error());
      server_context_.AddInitialMetadata("authorization", "Bearer " + *bearer);
      (void)NameSession();
      // Clients in C++ read no message before they ask for the end, and say Basic. One for Node waits for a
      // message, and says Bearer.
      constexpr std::string_view kBearer = "Bearer ";
      if (!base::EqualsIgnoreCase(std::string_view(header).substr(0, kBearer.size()), kBearer))
        return Finish(::grpc::Status::OK);
      const ::grpc::Slice empty;
      replies_.Push(::grpc::ByteBuffer(&empty, 1));
      return FinishDrained();
    }
    case Flow::kUnary:
    case Flow::kServerStream:
    case Flow::kBidi:
      // Of every flow: a call that says nothing must not hold a worker.
      first_message_alarm_.emplace();
      first_message_alarm_->Set(loop_.queue(), std::chrono::system_clock::now() + kFirstMessageWait,
                                Pending(first_message_deadline_));
      client_.Read(&request_, Pending(first_message_));
      return;
  }
}

bool RelayCall::Admit() {
  admitted_ = true;
  const base::Result<void> admitted = services_.admit(principal_);
  if (!admitted) FinishRefused(admitted.error());
  return admitted.has_value();
}

std::string RelayCall::NameSession() {
  auto named =
      relay_.sessions.Of(server_context_.client_metadata(), server_context_.peer(), principal_.user_id);
  if (!named.cookie.empty()) server_context_.AddInitialMetadata("set-cookie", named.cookie);
  return std::move(named.name);
}

void RelayCall::OnFirstMessage(bool ok) {
  first_message_read_ = true;
  first_message_alarm_->Cancel();
  if (ok) bytes_in_ += request_.Length();
  if (ok && method_->flow != Flow::kBidi && request_.Length() > kMaxRequestBytes) {
    return FinishError({ErrorCode::kInvalidArgument,
                        "The request has " + std::to_string(request_.Length()) +
                            " bytes, which is too large: a statement may have " +
                            std::to_string(kMaxRequestBytes) +
                            " bytes at most. Load data by ingest or in parts.",
                        "",
                        {}});
  }
  if (ok) {
    if (method_->counted && !admitted_ && !AccompaniesStatement(request_) && !Admit()) return;
    // Of calls by identifier the worker decides what they may read: not what SQL has left.
    if (!by_identifier_ && method_->early == Early::kTakes && AnswerEarly()) return;
    return AcquireWorker();
  }
  FinishError({ErrorCode::kInvalidArgument, "The call ended without a request message.", "", {}});
}

void RelayCall::OnFirstMessageDeadline(bool) {
  if (!first_message_read_) server_context_.TryCancel();
}

void RelayCall::AcquireWorker() {
  if (client_gone_) return Finish(::grpc::Status::CANCELLED);
  const auto wall_now = std::chrono::system_clock::now();
  const auto left = std::min<std::chrono::nanoseconds>(server_context_.deadline() - wall_now,
                                                       services_.worker_wait->load());
  asked_at_ = services_.clock->Now();
  handover_ = std::make_shared<Handover>();
  ++pending_;  // the fleet's callback, which fires worker_alarm_ unless it came while we were still asking
  wait_ticket_ =
      services_.fleet->Acquire(principal_.user_id, principal_.profile,
                               asked_at_ + std::chrono::duration_cast<base::Clock::Steady::duration>(left),
                               [handover = handover_, queue = loop_.queue(),
                                tag = &worker_alarm_](base::Result<fleet::WorkerLease> result) {
                                 handover->result.emplace(std::move(result));
                                 if (handover->first_passed.exchange(true)) {
                                   handover->alarm.emplace();
                                   handover->alarm->Set(queue, std::chrono::system_clock::time_point(), tag);
                                 }
                               });
  if (handover_->first_passed.exchange(true)) {
    OnWorker();
    --pending_;  // never the last: the step that brought us here is still counted
  }
}

void RelayCall::OnWorkerAlarm(bool) { OnWorker(); }

void RelayCall::OnWorker() {
  base::Result<fleet::WorkerLease> result = std::move(*handover_->result);
  handover_.reset();
  if (!result) return FinishRefused(result.error());
  lease_ = std::move(*result);
  handed_over_at_ = services_.clock->Now();
  if (client_gone_) return Finish(::grpc::Status::CANCELLED);
  PrepareUpstream();
  switch (method_->flow) {
    case Flow::kUnary:
      return StartUnary();
    case Flow::kServerStream:
      return StartServerStream();
    case Flow::kBidi:
      return StartBidi();
    case Flow::kHandshake:
      return;
  }
}

bool RelayCall::AnswerEarly() {
  auto messages = relay_.early_results.Take(principal_.user_id, request_);
  if (!messages) return false;
  for (::grpc::ByteBuffer& message : *messages) replies_.Push(std::move(message));
  upstream_finished_ = true;
  WriteSoon();
  return true;
}

// ---- Towards the client

void RelayCall::WriteSoon() {
  if (client_writing_ || finishing_) return;
  if (upstream_finished_ && replies_.size() <= 1) return FinishDrained();
  if (write_deferred_ || replies_.empty()) return;
  // Headers go with the first message, alone in any case: nothing is gained by waiting.
  if (bytes_out_ == 0) return OnWriteTime(true);
  write_deferred_ = true;
  Pending(write_time_);
  loop_.Defer(&write_time_);
}

void RelayCall::OnWriteTime(bool) {
  write_deferred_ = false;
  if (finishing_ || client_writing_) return;
  if (upstream_finished_ && replies_.size() <= 1) return FinishDrained();
  if (replies_.empty()) return;
  client_writing_ = true;
  ::grpc::WriteOptions options;
  // Another message follows at once: gRPC keeps this one until then. Not the first: with it go the headers,
  // whose write does not end before they are sent.
  if (bytes_out_ > 0 && replies_.size() > 1 && replies_.bytes() <= ReplyBuffer::kSmallBytes) {
    options.set_buffer_hint();
  }
  bytes_out_ += replies_.front().Length();
  client_.Write(replies_.front(), options, Pending(client_written_));
}

void RelayCall::OnClientWritten(bool ok) {
  client_writing_ = false;
  replies_.Pop();
  if (!ok) {
    client_gone_ = true;
    upstream_context_.TryCancel();
    while (!replies_.empty()) replies_.Pop();
  }
  if (!upstream_finished_) ReadUpstream();
  // What came together was waited for before the first of it was written.
  if (!write_deferred_) OnWriteTime(true);
}

// At most one message is left.
void RelayCall::FinishDrained() {
  if (unary_ && upstream_status_.ok()) replies_.Push(std::move(reply_));
  if (replies_.empty()) return Finish(upstream_status_);
  finishing_ = true;
  bytes_out_ += replies_.front().Length();
  LogEnd(upstream_status_);
  client_.WriteAndFinish(replies_.front(), ::grpc::WriteOptions(), upstream_status_, Pending(client_finish_));
}

void RelayCall::Finish(const ::grpc::Status& status) {
  if (finishing_) return;
  finishing_ = true;
  LogEnd(status);
  client_.Finish(status, Pending(client_finish_));
}

void RelayCall::FinishError(const base::Error& error) { Finish(ToGrpcStatus(error)); }

void RelayCall::FinishRefused(const base::Error& error) {
  if (error.retry_after) {
    // gRPC's own name for "how long to wait" (gRFC A6).
    server_context_.AddTrailingMetadata("grpc-retry-pushback-ms", std::to_string(error.retry_after->count()));
  }
  FinishError(error);
}

void RelayCall::OnClientFinished(bool) {
  lease_ = {};
  if (silence_alarm_) silence_alarm_->Cancel();  // it would keep the call for as long
}

void RelayCall::BeginSpan(bool callers) {
  bool repeated = false;
  const std::string_view sent =
      SingleValue(server_context_.client_metadata(), telemetry::kTraceParent, &repeated);
  span_ = services_.tracer->Begin("arrow.flight.protocol.FlightService/" + std::string(method_->name),
                                  callers && !repeated ? sent : std::string_view());
  span_->Set("rpc.system", "grpc");
  span_->Set("rpc.method", method_->name);
  span_->Set("pondpilot.request_id", request_id_);
}

void RelayCall::EndSpan(const ::grpc::Status& status) const {
  const auto us = [](base::Clock::Steady::duration duration) {
    return static_cast<int64_t>(std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
  };
  span_->Set("user.id", principal_.user_id);
  span_->Set("rpc.grpc.status_code", int64_t{status.error_code()});
  if (handed_over_at_) {
    span_->Set("pondpilot.worker.wait_us", us(*handed_over_at_ - asked_at_));
    span_->Set("pondpilot.worker.us", us(services_.clock->Now() - *handed_over_at_));
  }
  using enum ::grpc::StatusCode;
  const ::grpc::StatusCode code = status.error_code();
  if (code == UNKNOWN || code == INTERNAL || code == UNAVAILABLE || code == DATA_LOSS) span_->Fail();
}

void RelayCall::LogEnd(const ::grpc::Status& status) const {
  const auto duration = services_.clock->Now() - arrived_at_;
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(duration);
  if (services_.observer != nullptr) {
    services_.observer->Ended(method_ == nullptr ? std::string_view() : method_->name, status.error_code(),
                              duration, {.sent = bytes_out_, .received = bytes_in_});
  }
  if (span_) EndSpan(status);
  bool repeated = false;
  const std::string_view sent =
      SingleValue(server_context_.client_metadata(), telemetry::kTraceParent, &repeated);
  std::string trace_id;
  if (span_) {
    trace_id = span_->TraceId();
  } else if (!repeated) {
    trace_id = telemetry::TraceIdOf(sent);
  }
  // What went well is the normal case, at the cost of a write for each call: only on request.
  const telemetry::Level level = status.ok() ? telemetry::Level::kDebug : telemetry::Level::kInfo;
  telemetry::Log(level, "Flight call",
                 {{"method", method_ == nullptr ? std::string_view("unknown") : method_->name},
                  {"user_id", principal_.user_id},
                  {"request_id", request_id_},
                  {"code", static_cast<int>(status.error_code())},
                  {"ms", took.count()},
                  {"bytes", bytes_out_},
                  {"trace_id", trace_id}});
}

}  // namespace pondpilot::proxy::grpc
