// The worker's side of a relayed call: what goes to it, what it answers, and what is said when it breaks off.
#include <algorithm>
#include <chrono>

#include "contract/names.h"
#include "proxy/fleet/lost_worker.h"
#include "proxy/fleet/shutting_down.h"
#include "proxy/grpc/airport_calls.h"
#include "proxy/grpc/metadata.h"
#include "proxy/grpc/relay_call.h"
#include "proxy/grpc/status.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace pondpilot::proxy::grpc {
namespace {

// FlightData (Flight.proto of Arrow 25) with nothing but its field 3, app_metadata.
::grpc::ByteBuffer EndOfUpload() {
  static_assert(contract::kUploadEndMark.size() < 128, "the length is one byte");
  std::string message = "\x1a";
  message += static_cast<char>(contract::kUploadEndMark.size());
  message += contract::kUploadEndMark;
  const ::grpc::Slice slice(message);
  return {&slice, 1};
}

std::string_view View(const ::grpc::string_ref& text) { return {text.data(), text.size()}; }

}  // namespace

void RelayCall::PrepareUpstream() {
  for (const auto& [key, value] : server_context_.client_metadata()) {
    const bool replaced = span_ && View(key) == telemetry::kTraceParent;
    if (PassesToWorker(View(key)) && !replaced) {
      upstream_context_.AddMetadata(std::string(View(key)), std::string(View(value)));
    }
  }
  upstream_context_.AddMetadata(contract::kWorkerTokenHeader, lease_.worker().token.Reveal());
  upstream_context_.AddMetadata(contract::kConnectionHeader, NameSession());
  upstream_context_.AddMetadata(contract::kRequestIdHeader, request_id_);
  if (method_->flow == Flow::kBidi) upstream_context_.AddMetadata(contract::kUploadEndHeader, "marked");
  if (span_) upstream_context_.AddMetadata(telemetry::kTraceParent, span_->TraceParent());
  if (by_identifier_) {
    upstream_context_.AddMetadata(contract::kByIdentifierHeader, "1");
  } else if (IsAirportAction(*method_, server_context_.client_metadata())) {
    upstream_context_.AddMetadata(contract::kCallIdentifierHeader, relay_.identifiers.Issue(principal_));
  }
  if (method_->early == Early::kBrings) {
    early_place_ = relay_.early_results.Reserve(principal_.user_id);
    if (early_place_) {
      upstream_context_.AddMetadata(contract::kEarlyResultHeader,
                                    std::to_string(EarlyResults::kMaxResultBytes));
    }
  }
  const auto deadline = server_context_.deadline();
  upstream_context_.set_deadline(deadline);
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::system_clock::now());
  // Without a deadline it is centuries away.
  if (method_->early == Early::kBrings && left < std::chrono::years(1)) {
    upstream_context_.AddMetadata(contract::kTimeLeftHeader,
                                  std::to_string(std::max<int64_t>(left.count(), 0)));
  }
  stub_.emplace(lease_.worker().channel);
  upstream_started_ = true;
}

void RelayCall::StartUnary() {
  unary_ = stub_->PrepareUnaryCall(&upstream_context_, server_context_.method(), request_, loop_.queue());
  unary_->StartCall();
  unary_->Finish(&reply_, &upstream_status_, Pending(upstream_finish_));
}

void RelayCall::StartServerStream() {
  upstream_ = stub_->PrepareCall(&upstream_context_, server_context_.method(), loop_.queue());
  // Corked: the metadata leave with the request, and no event comes for them.
  upstream_context_.set_initial_metadata_corked(true);
  upstream_->StartCall(nullptr);
  upstream_->WriteLast(request_, ::grpc::WriteOptions(), Pending(request_written_));
  ReadUpstream();
}

void RelayCall::StartBidi() {
  upstream_ = stub_->PrepareCall(&upstream_context_, server_context_.method(), loop_.queue());
  upstream_->StartCall(Pending(upstream_started_step_));
}

void RelayCall::OnUpstreamStarted(bool ok) {
  ReadUpstream();  // also when it failed: the read's failure leads to the status
  if (!ok) return;
  upstream_->Write(request_, Pending(client_forwarded_));
  WatchSilence();
}

void RelayCall::OnRequestWritten(bool) {
  // A failed write shows in the read as well.
  request_.Clear();
}

void RelayCall::ReadUpstream() {
  if (upstream_reading_ || upstream_ended_ || replies_.full()) return;
  upstream_reading_ = true;
  upstream_->Read(&reply_, Pending(upstream_read_));
}

void RelayCall::CopyInitialMetadata() {
  if (initial_metadata_copied_) return;
  initial_metadata_copied_ = true;
  for (const auto& [key, value] : upstream_context_.GetServerInitialMetadata()) {
    if (PassesToClient(View(key)) && View(key) != contract::kRequestIdHeader) {
      server_context_.AddInitialMetadata(std::string(View(key)), std::string(View(value)));
    }
  }
}

void RelayCall::OnUpstreamRead(bool ok) {
  upstream_reading_ = false;
  CopyInitialMetadata();
  if (!ok) {
    upstream_ended_ = true;
    upstream_->Finish(&upstream_status_, Pending(upstream_finish_));
    return;
  }
  replies_.Push(std::move(reply_));
  ReadUpstream();
  WriteSoon();
}

void RelayCall::OnUpstreamFinished(bool) {
  CopyInitialMetadata();
  const auto& trailers = upstream_context_.GetServerTrailingMetadata();
  const auto named = upstream_status_.ok() ? std::nullopt : NamedCode(trailers);
  if (named) {
    upstream_status_ = {*named, WithoutDetail(upstream_status_.error_message(), trailers),
                        upstream_status_.error_details()};
  }
  for (const auto& [key, value] : trailers) {
    if (named && View(key) == contract::kArrowDetailTrailer)
      continue;  // clients would show it to their users
    if (PassesToClient(View(key))) {
      server_context_.AddTrailingMetadata(std::string(View(key)), std::string(View(value)));
    }
  }
  if (LostWorker()) {
    lease_.ReportTrouble();
    OnVerdictTick(true);
    return;
  }
  if (upstream_status_.error_code() == ::grpc::StatusCode::CANCELLED && !client_gone_ &&
      relay_.live.interrupted()) {
    upstream_status_ = {::grpc::StatusCode::UNAVAILABLE, fleet::kShuttingDown};
  }
  if (early_place_ && upstream_status_.ok()) KeepEarlyResult();
  upstream_finished_ = true;
  WriteSoon();
}

void RelayCall::KeepEarlyResult() {
  const auto& trailers = upstream_context_.GetServerTrailingMetadata();
  const auto found = trailers.find(contract::kEarlyResultTrailer);
  if (found == trailers.end()) return;
  if (relay_.early_results.Keep(std::move(early_place_), View(found->second))) return;
  telemetry::Log(telemetry::Level::kError, "A worker's early result can't be read",
                 {{"worker_id", lease_.worker().worker_id}, {"request_id", request_id_}});
}

// ---- The client's further messages

void RelayCall::ReadClient() {
  if (finishing_ || client_gone_) return;
  reading_since_ = services_.clock->Now();
  client_.Read(&client_message_, Pending(client_read_));
}

void RelayCall::OnClientRead(bool ok) {
  reading_since_.reset();
  if (finishing_ || client_gone_) return;
  if (!ok) {
    // A reset ends the messages too, and its cancellation comes right behind. When another read has come back
    // through the same transport and queue, a cancellation has as well: half an upload never looks whole.
    client_.Read(&client_message_, Pending(upload_end_));
    return;
  }
  bytes_in_ += client_message_.Length();
  // One message at a time: the next is read when the worker's connection has taken this one.
  upstream_->Write(client_message_, Pending(client_forwarded_));
}

void RelayCall::OnClientForwarded(bool ok) {
  request_.Clear();
  client_message_.Clear();
  if (ok) ReadClient();  // when it failed, the worker has ended the call: its status is on the way
}

void RelayCall::OnUploadEnd(bool) {
  if (client_gone_ || finishing_ || upstream_finished_) return;
  upstream_->WriteLast(EndOfUpload(), ::grpc::WriteOptions(), Pending(end_forwarded_));
}

void RelayCall::WatchSilence() {
  if (finishing_ || client_gone_) return;
  if (!silence_alarm_) silence_alarm_.emplace();
  silence_alarm_->Set(loop_.queue(), std::chrono::system_clock::now() + services_.upload_silence / 4,
                      Pending(silence_tick_));
}

void RelayCall::OnSilenceTick(bool ok) {
  if (!ok || finishing_ || client_gone_) return;
  if (!reading_since_ || services_.clock->Now() - *reading_since_ < services_.upload_silence)
    return WatchSilence();
  upstream_context_.TryCancel();
  FinishError({base::ErrorCode::kDeadlineExceeded,
               "The upload was given up, because no further message of it has come for " +
                   std::to_string(
                       std::chrono::duration_cast<std::chrono::seconds>(services_.upload_silence).count()) +
                   " s. Nothing of it was kept; send it again.",
               "",
               {}});
}

// ---- A worker that broke off

bool RelayCall::LostWorker() const {
  // gRPC makes this status itself when the connection breaks; then nothing came from the worker behind it.
  return !client_gone_ && upstream_status_.error_code() == ::grpc::StatusCode::UNAVAILABLE &&
         upstream_context_.GetServerTrailingMetadata().empty();
}

void RelayCall::OnVerdictTick(bool) {
  if (lease_.DeathReason().empty() && verdict_ticks_++ < fleet::kVerdictTicks && !client_gone_) {
    if (!verdict_alarm_) verdict_alarm_.emplace();
    verdict_alarm_->Set(loop_.queue(), std::chrono::system_clock::now() + fleet::kVerdictTick,
                        Pending(verdict_tick_));
    return;
  }
  upstream_status_ = LostWorkerStatus();
  upstream_finished_ = true;
  WriteSoon();
}

::grpc::Status RelayCall::LostWorkerStatus() const {
  return {::grpc::StatusCode::UNAVAILABLE, fleet::LostWorkerMessage(lease_.DeathReason())};
}

}  // namespace pondpilot::proxy::grpc
