#include "worker/documents/sql_service.h"

#include <arrow/record_batch.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/secret.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"
#include "worker/documents/catalog_document.h"
#include "worker/documents/document_writer.h"
#include "worker/documents/parameters.h"
#include "worker/documents/piece_stream.h"
#include "worker/session/call_token.h"

namespace pondpilot::worker::documents {
namespace {

namespace proto = pondpilot::sql::v1;
using base::Result;
using std::chrono::milliseconds;

// How long a statement waits for its session's connection.
constexpr milliseconds kConnectionWait = std::chrono::seconds(30);
// Longer waits are none.
constexpr uint64_t kMaxTimeoutMs = 7ull * 24 * 60 * 60 * 1000;

// One call: who asks, until when, and the session that ends with it when it has no name.
class Call {
 public:
  Call(grpc::ServerContext& context, session::StatementRunner& runner, const std::string& session,
       uint64_t timeout_ms)
      : context_(context), runner_(runner), lasting_(!session.empty()) {
    const auto now = base::Clock::System().Now();
    if (timeout_ms > 0) deadline_ = now + milliseconds(std::min(timeout_ms, kMaxTimeoutMs));
    caller_.connection_name = lasting_ ? "http-session:" + session : "http-request:" + base::RandomHex(16);
    caller_.gone = [this] { return Gone(); };
    caller_.deadline = std::min(now + kConnectionWait, deadline_.value_or(base::Clock::Steady::max()));
  }
  ~Call() {
    if (!lasting_) runner_.CloseSession(caller_.connection_name);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  const session::Caller& caller() const { return caller_; }
  bool Gone() const { return context_.IsCancelled() || Late(); }

  // A statement that its deadline has cancelled says so.
  base::Error Explained(base::Error error) const {
    if (!Late() || context_.IsCancelled()) return error;
    return {base::ErrorCode::kDeadlineExceeded,
            "The statement was cancelled, because it took longer than the request's \"timeout_seconds\".",
            "",
            {}};
  }

 private:
  bool Late() const { return deadline_ && base::Clock::System().Now() >= *deadline_; }

  grpc::ServerContext& context_;
  session::StatementRunner& runner_;
  const bool lasting_;
  std::optional<base::Clock::Steady> deadline_;
  session::Caller caller_;
};

Result<std::shared_ptr<session::OpenResult>> Open(session::StatementRunner& runner,
                                                  const session::Caller& caller,
                                                  const proto::RunRequest& request) {
  if (request.parameters().empty()) return runner.Execute(caller, request.sql());
  const auto values = ToParameterRows(request);
  if (!values) return std::unexpected(values.error());
  return runner.ExecuteWith(caller, request.sql(), *values);
}

// Writes the whole result. False when nobody reads on.
Result<bool> WriteRows(session::OpenResult& result, DocumentWriter& document, std::string& text,
                       PieceStream& pieces) {
  // A result that is here as a whole leaves in one piece, if it fits; of another each batch leaves as soon as
  // it is there.
  const bool whole = result.Whole() != nullptr;
  if (auto begun = document.Begin(text); !begun) return std::unexpected(begun.error());
  for (;;) {
    auto batch = result.Next();
    if (!batch) return std::unexpected(batch.error());
    if (*batch == nullptr) break;
    for (int64_t row = 0; row < (*batch)->num_rows();) {
      const auto next = document.Rows(*batch, row, text);
      if (!next) return std::unexpected(next.error());
      row = *next;
      const bool full =
          text.size() >= kPieceBytes || (!whole && row == (*batch)->num_rows() && !text.empty());
      if (!full) continue;
      const auto sent = pieces.Send(text);
      if (!sent || !*sent) return sent;
    }
  }
  if (auto ended = document.End(text); !ended) return std::unexpected(ended.error());
  return pieces.SendLast(text);
}

std::string_view HeaderOf(const grpc::ServerContext& context, const char* name) {
  const auto found = context.client_metadata().find(name);
  return found == context.client_metadata().end()
             ? std::string_view()
             : std::string_view(found->second.data(), found->second.size());
}

// Which call the lines that are logged during it belong to.
telemetry::LogScope NameInLog(const grpc::ServerContext& context) {
  return {HeaderOf(context, contract::kRequestIdHeader),
          telemetry::TraceIdOf(HeaderOf(context, telemetry::kTraceParent))};
}

void LogFailure(const base::Error& error) {
  if (error.detail.empty()) return;
  telemetry::Log(telemetry::Level::kWarn, "SQL over HTTP failed",
                 {{"error", error.message}, {"detail", error.detail}});
}

}  // namespace

SqlService::SqlService(engine::Engine& engine, session::StatementRunner& runner, std::string token_sha256)
    : engine_(engine), runner_(runner), token_sha256_(std::move(token_sha256)) {}

grpc::Status SqlService::Check(const grpc::ServerContext& context) const {
  if (grpc::Status checked = session::CheckCallToken(context, token_sha256_); !checked.ok()) return checked;
  if (!serving_.load()) return {grpc::StatusCode::FAILED_PRECONDITION, "This worker has no user yet."};
  return grpc::Status::OK;
}

grpc::Status SqlService::Run(grpc::ServerContext* context, const proto::RunRequest* request, Writer* writer) {
  if (grpc::Status checked = Check(*context); !checked.ok()) return checked;
  const telemetry::LogScope scope = NameInLog(*context);
  const Call call(*context, runner_, request->session(), request->timeout_ms());
  auto coder = MakeCoder(request->coding());
  if (!coder) return {grpc::StatusCode::INTERNAL, coder.error().message};
  PieceStream pieces(std::move(*coder), [writer](const proto::Piece& piece) { return writer->Write(piece); });
  const auto fail = [&](const base::Error& error, std::string text, bool told) {
    LogFailure(error);
    pieces.SendFailure(call.Explained(error), std::move(text), told);
    return grpc::Status::OK;
  };
  auto result = Open(runner_, call.caller(), *request);
  if (!result) return fail(result.error(), {}, false);
  auto document = MakeDocumentWriter((*result)->schema(), *request);
  if (!document) return fail(document.error(), {}, false);
  const session::CallWatch::Guard guard(
      runner_.watch(), [&call] { return call.Gone(); }, [&result] { (*result)->Cancel(); });
  std::string text;
  if (const auto written = WriteRows(**result, **document, text, pieces); !written) {
    const base::Error error = call.Explained(written.error());
    const bool told = (*document)->Fail(error, text);
    return fail(error, std::move(text), told);
  }
  return grpc::Status::OK;
}

grpc::Status SqlService::Catalog(grpc::ServerContext* context, const proto::CatalogRequest* request,
                                 Writer* writer) {
  if (grpc::Status checked = Check(*context); !checked.ok()) return checked;
  const telemetry::LogScope scope = NameInLog(*context);
  const Call call(*context, runner_, "", request->timeout_ms());
  auto coder = MakeCoder(request->coding());
  if (!coder) return {grpc::StatusCode::INTERNAL, coder.error().message};
  PieceStream pieces(std::move(*coder), [writer](const proto::Piece& piece) { return writer->Write(piece); });
  engine::CatalogQuestion question;
  if (!request->database().empty()) question.catalog = request->database();
  question.columns = true;
  const auto answer = runner_.Look(call.caller(), question);
  if (!answer) {
    LogFailure(answer.error());
    pieces.SendFailure(call.Explained(answer.error()), {}, false);
    return grpc::Status::OK;
  }
  std::string text = CatalogDocument(*answer, engine_.attachments(), request->database());
  while (text.size() > kPieceBytes) {
    std::string piece = text.substr(0, kPieceBytes);
    text.erase(0, kPieceBytes);
    const auto sent = pieces.Send(piece);
    if (!sent || !*sent) return grpc::Status::CANCELLED;
  }
  if (const auto sent = pieces.SendLast(text); !sent) {
    LogFailure(sent.error());
    pieces.SendFailure(sent.error(), {}, false);
  }
  return grpc::Status::OK;
}

}  // namespace pondpilot::worker::documents
