#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "proxy/auth/call_identifier.h"
#include "proxy/auth/principal.h"
#include "proxy/fleet/fleet.h"
#include "proxy/grpc/completion_loop.h"
#include "proxy/grpc/early_results.h"
#include "proxy/grpc/flight_server.h"
#include "proxy/grpc/live_calls.h"
#include "proxy/grpc/method_table.h"
#include "proxy/grpc/reply_buffer.h"
#include "proxy/grpc/session_names.h"

namespace pondpilot::proxy::grpc {

// What all calls of one server share.
struct Relay {
  explicit Relay(RelayServices given)
      : services(std::move(given)),
        identifiers(services.identifier_key, *services.clock),
        early_results(*services.clock),
        sessions(services.session_key) {}

  const RelayServices services;
  const auth::CallIdentifiers identifiers;
  ::grpc::AsyncGenericService service;
  LiveCalls live;
  EarlyResults early_results;
  SessionNames sessions;
};

// One call from a client, from its arrival to its last operation. It owns itself: it lives until every
// operation that it has started has completed, and is destroyed by the last. All of it runs on its loop's
// thread, but for the fleet's callback, which only hands a result over.
//
// Bytes are not decoded, but for the ticket of a DoGet, whose result may be here already (EarlyResults).
// Back-pressure: the messages that wait for the client are bounded (ReplyBuffer); while they are at the bound
// the worker is not read. What is ready at the same moment goes to the client in one write, the end of the
// call included: each write wakes the client.
//
// relay_call.cc has the client's side, relay_upstream.cc the worker's.
class RelayCall {
 public:
  // Asks the server for the next call on `loop`. The object frees itself, also when no call comes any more.
  // `relay` and `loop` must outlive it.
  static void Await(Relay& relay, CompletionLoop& loop);

 private:
  // A pending operation: a tag that knows what to do next.
  class Step final : public Event {
   public:
    using Action = void (RelayCall::*)(bool);
    Step(RelayCall* call, Action action) : call_(call), action_(action) {}
    void Fire(bool ok) override;

   private:
    RelayCall* call_;
    Action action_;
  };

  RelayCall(Relay& relay, CompletionLoop& loop);
  ~RelayCall();

  // Registers one more operation and gives its tag.
  void* Pending(Step& step);

  // Arrival.
  void OnArrived(bool ok);
  void OnClientDone(bool ok);
  void Authenticate();
  // Takes the call from the caller's budget; false when it is refused, and ended.
  bool Admit();
  // The name of the caller's session; gives the client its cookie when it has none.
  std::string NameSession();
  void OnFirstMessage(bool ok);
  void OnFirstMessageDeadline(bool ok);
  // True when the result that is asked for is here: then it is on its way.
  bool AnswerEarly();
  void AcquireWorker();
  void OnWorkerAlarm(bool ok);
  void OnWorker();

  // Towards the worker.
  void PrepareUpstream();
  void StartUnary();
  void StartServerStream();
  void StartBidi();
  void OnUpstreamStarted(bool ok);
  void OnRequestWritten(bool ok);
  void ReadUpstream();
  void OnUpstreamRead(bool ok);
  void OnUpstreamFinished(bool ok);
  // The result that the worker may have sent along.
  void KeepEarlyResult();
  void CopyInitialMetadata();

  // The client's further messages (DoPut, DoExchange).
  void ReadClient();
  void OnClientRead(bool ok);
  void OnClientForwarded(bool ok);
  void OnUploadEnd(bool ok);
  void OnEndForwarded(bool) {}
  // Looks now and then whether the client has been silent for too long.
  void WatchSilence();
  void OnSilenceTick(bool ok);

  // Towards the client.
  void WriteSoon();
  void OnWriteTime(bool);
  void OnClientWritten(bool ok);
  void OnClientFinished(bool ok);
  void FinishDrained();
  void Finish(const ::grpc::Status& status);
  void FinishError(const base::Error& error);
  // The same with how long to wait, when the error says so.
  void FinishRefused(const base::Error& error);

  // The worker broke off: find out why before the client is told.
  bool LostWorker() const;
  void OnVerdictTick(bool ok);
  ::grpc::Status LostWorkerStatus() const;

  // `callers`: the call has a valid token or identifier, so that its traceparent is believed.
  void BeginSpan(bool callers);
  void EndSpan(const ::grpc::Status& status) const;
  void LogEnd(const ::grpc::Status& status) const;

  Relay& relay_;
  CompletionLoop& loop_;
  const RelayServices& services_;

  ::grpc::GenericServerContext server_context_;
  ::grpc::GenericServerAsyncReaderWriter client_;
  const Method* method_ = nullptr;
  auth::Principal principal_;
  bool by_identifier_ = false;
  bool admitted_ = false;
  std::string request_id_;
  base::Clock::Steady arrived_at_;
  base::Clock::Steady asked_at_;                       // for a worker
  std::optional<base::Clock::Steady> handed_over_at_;  // to the worker
  std::shared_ptr<telemetry::Span> span_;              // null when traces are not exported

  // The hand-over from the fleet: whichever of caller and callback comes second carries on.
  struct Handover {
    std::atomic<bool> first_passed{false};
    std::optional<base::Result<fleet::WorkerLease>> result;
    std::optional<::grpc::Alarm> alarm;
  };
  std::shared_ptr<Handover> handover_;
  uint64_t wait_ticket_ = 0;
  fleet::WorkerLease lease_;
  EarlyResults::Place early_place_;

  std::optional<::grpc::GenericStub> stub_;
  ::grpc::ClientContext upstream_context_;
  std::unique_ptr<::grpc::GenericClientAsyncReaderWriter> upstream_;
  std::unique_ptr<::grpc::GenericClientAsyncResponseReader> unary_;
  ::grpc::Status upstream_status_;

  ::grpc::ByteBuffer request_;         // the first message; but for kBidi the only one
  ::grpc::ByteBuffer client_message_;  // read from the client, on its way to the worker
  ::grpc::ByteBuffer reply_;           // being read from the worker
  ReplyBuffer replies_;
  // One alarm each: an alarm may be set again only when its event has been taken from the queue.
  std::optional<::grpc::Alarm> first_message_alarm_;
  std::optional<::grpc::Alarm> verdict_alarm_;
  std::optional<::grpc::Alarm> silence_alarm_;
  std::optional<base::Clock::Steady> reading_since_;  // while a message of the client's is waited for
  int verdict_ticks_ = 0;

  int pending_ = 0;
  uint64_t bytes_out_ = 0;
  uint64_t bytes_in_ = 0;
  bool upstream_started_ = false;
  bool upstream_reading_ = false;
  bool upstream_ended_ = false;  // its last message has been read
  bool upstream_finished_ = false;
  bool first_message_read_ = false;
  bool client_writing_ = false;
  bool write_deferred_ = false;
  bool client_gone_ = false;
  bool initial_metadata_copied_ = false;
  bool finishing_ = false;

  Step arrived_{this, &RelayCall::OnArrived};
  Step client_done_{this, &RelayCall::OnClientDone};
  Step first_message_{this, &RelayCall::OnFirstMessage};
  Step first_message_deadline_{this, &RelayCall::OnFirstMessageDeadline};
  Step worker_alarm_{this, &RelayCall::OnWorkerAlarm};
  Step upstream_started_step_{this, &RelayCall::OnUpstreamStarted};
  Step request_written_{this, &RelayCall::OnRequestWritten};
  Step upstream_read_{this, &RelayCall::OnUpstreamRead};
  Step upstream_finish_{this, &RelayCall::OnUpstreamFinished};
  Step client_read_{this, &RelayCall::OnClientRead};
  Step client_forwarded_{this, &RelayCall::OnClientForwarded};
  Step upload_end_{this, &RelayCall::OnUploadEnd};
  Step end_forwarded_{this, &RelayCall::OnEndForwarded};
  Step write_time_{this, &RelayCall::OnWriteTime};
  Step client_written_{this, &RelayCall::OnClientWritten};
  Step client_finish_{this, &RelayCall::OnClientFinished};
  Step verdict_tick_{this, &RelayCall::OnVerdictTick};
  Step silence_tick_{this, &RelayCall::OnSilenceTick};
};

}  // namespace pondpilot::proxy::grpc
