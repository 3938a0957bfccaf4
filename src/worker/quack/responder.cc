#include "worker/quack/responder.h"

#include <charconv>
#include <utility>

#include "base/clock.h"
#include "base/secret.h"
#include "quack/chunk_check.h"
#include "worker/quack/old_catalog.h"
#include "worker/quack/quoting.h"

namespace pondpilot::worker::quack {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;
using wire::Dialect;
using Answer = Responder::Answer;

// How long a statement waits for its session's connection.
constexpr std::chrono::seconds kConnectionWait(30);
// Rows of one answer, in chunks of 2048, as DuckDB's own servers have them.
constexpr uint64_t kBatchChunksV1 = 12;
constexpr uint64_t kBatchChunksV3 = 60;

uint64_t BatchChunks(Dialect dialect) { return dialect == Dialect::kV1 ? kBatchChunksV1 : kBatchChunksV3; }

wire::ResultId NewResultId() {
  const std::string digits = base::RandomHex(16);
  wire::ResultId id;
  uint64_t upper = 0;
  std::from_chars(digits.data(), digits.data() + 16, upper, 16);
  std::from_chars(digits.data() + 16, digits.data() + 32, id.lower, 16);
  id.upper = static_cast<int64_t>(upper);
  return id;
}

void AddRows(Answer& answer, const std::shared_ptr<const engine::ChunkBatch>& unit, bool listed) {
  if (!listed) {
    answer.emplace_back(unit, unit->bytes);
    return;
  }
  size_t begin = 0;
  for (const size_t end : unit->ends) {
    answer.emplace_back(nullptr, wire::kListedChunkHead);
    answer.emplace_back(unit, std::string_view(unit->bytes).substr(begin, end - begin));
    answer.emplace_back(nullptr, wire::kListedChunkTail);
    begin = end;
  }
}

std::vector<wire::Column> ToColumns(const std::vector<engine::ChunkStream::Column>& columns) {
  std::vector<wire::Column> out;
  out.reserve(columns.size());
  for (const auto& column : columns) out.push_back({column.name, column.type});
  return out;
}

std::unexpected<base::Error> Closed() {
  return Fail(
      ErrorCode::kNotFound,
      "Invalid Input Error: the result was closed: it was read to its end, was not read for a long time, or "
      "another statement of the connection came first. Run the statement again.");
}

}  // namespace

Answer Responder::Respond(Connection& connection, std::string_view message,
                          const session::CallWatch::Gone& gone, const std::string& name) {
  auto answer = Dispatch(connection, message, gone, name);
  if (answer) return std::move(*answer);
  return {wire::ErrorResponse(connection.dialect(), answer.error().message)};
}

Result<Answer> Responder::Dispatch(Connection& connection, std::string_view message,
                                   const session::CallWatch::Gone& gone, const std::string& name) {
  std::string_view body;
  const auto header = wire::ParseHeader(message, body);
  if (!header) return std::unexpected(header.error());
  session::Caller caller;
  caller.connection_name = connection.session_name();
  caller.gone = [&] { return gone() || connection.closed(); };
  caller.deadline = base::Clock::System().Now() + kConnectionWait;
  if (wire::WantsWork(header->type) && connection.TakeLost()) {
    return Fail(
        ErrorCode::kAborted,
        "Connection Error: the connection was silent for longer than its lease; its transaction was rolled "
        "back, its open results and temporary tables are gone. Run the statement again.");
  }
  switch (header->type) {
    case wire::Type::kPrepareRequest:
      return Prepare(connection, body, std::move(caller));
    case wire::Type::kFetchRequest:
      return Fetch(connection, body, caller);
    case wire::Type::kAppendRequest:
      return connection.dialect() == Dialect::kV1 ? Append(connection, body, caller)
                                                  : Receive(connection, body, caller);
    case wire::Type::kCancel: {
      const auto id = wire::ParseCancel(body);
      if (!id) return std::unexpected(id.error());
      connection.Cancel(*id);
      return Answer{wire::Success()};
    }
    case wire::Type::kDisconnect:
      connections_.Close(name);
      return Answer{wire::Success()};
    case wire::Type::kHeartbeat:
      return Answer{wire::Success()};
    default:
      return Fail(ErrorCode::kUnimplemented,
                  "Not implemented Error: this Quack message is not served by workers.");
  }
}

Result<Answer> Responder::Prepare(Connection& connection, std::string_view body, session::Caller caller) {
  const Dialect dialect = connection.dialect();
  const auto request = wire::ParsePrepareRequest(dialect, body);
  if (!request) return std::unexpected(request.error());
  MakeRoom(connection, caller);
  const wire::ResultId id = dialect == Dialect::kV3 ? request->result : NewResultId();
  const auto cancelled = connection.Running(id);
  if (auto stream = Upload::StreamOf(request->sql); stream && dialect == Dialect::kV3) {
    auto begun = BeginUpload(connection, *request, std::move(*stream), cancelled, caller);
    connection.Ended(id, cancelled);
    return begun;
  }
  const auto gone = std::move(caller.gone);
  caller.gone = [&] { return gone() || cancelled->load(); };
  const auto run = [&]() -> Result<Answer> {
    const auto version = dialect == Dialect::kV1 ? engine::ChunkVersion::k1_5 : engine::ChunkVersion::k2_0;
    std::string_view sql = request->sql;
    std::optional<std::string> instead;
    if (dialect == Dialect::kV1) {
      auto listing = ForOldClient(runner_, caller, sql);
      if (!listing) return std::unexpected(listing.error());
      instead = std::move(*listing);
      if (instead) sql = *instead;
    }
    auto chunks = runner_.ExecuteChunks(caller, sql, version, BatchChunks(dialect));
    if (!chunks) return std::unexpected(chunks.error());
    auto rows = std::make_shared<OpenRows>(std::move(*chunks));
    Result<OpenRows::First> first;
    {
      const session::CallWatch::Guard guard(runner_.watch(), caller.gone, [&rows] { rows->Cancel(); });
      first = rows->Begin(BatchChunks(dialect));
    }
    if (!first) return std::unexpected(first.error());
    Answer answer;
    const uint64_t listed = first->rows ? first->rows->ends.size() : 0;
    answer.emplace_back(wire::PrepareResponseHead(ToColumns(rows->columns()), first->more, listed));
    if (first->rows) AddRows(answer, first->rows, true);
    answer.emplace_back(wire::PrepareResponseTail(id));
    if (first->more) connection.Keep(id, cancelled, std::move(rows));
    return answer;
  };
  auto answer = run();
  connection.Ended(id, cancelled);
  return answer;
}

void Responder::MakeRoom(Connection& connection, const session::Caller& caller) {
  connection.ForgetEnded();
  if (connection.dialect() == Dialect::kV3) {
    // As DuckDB's own server has it: a new statement takes the place of the one before, and doesn't meet what
    // that one has not undone yet.
    for (const auto& upload : connection.CancelAll(true)) upload->AwaitWriter(caller);
    return;
  }
  const auto state = runner_.sessions().StateOf(connection.session_name());
  if (state && state->has_state) {
    // The session's state is on one connection, which an open result holds.
    connection.CancelAll(false);
  } else {
    connection.MakeRoom();
  }
}

Result<Answer> Responder::BeginUpload(Connection& connection, const wire::PrepareRequest& request,
                                      std::string stream, const Connection::Flag& cancelled,
                                      const session::Caller& caller) {
  std::string transaction;
  const auto state = runner_.sessions().StateOf(connection.session_name());
  if (!state || !state->own_transaction) {
    auto begun = runner_.Begin(caller);
    if (!begun) return std::unexpected(begun.error());
    transaction = std::move(*begun);
  }
  connection.Keep(request.result, cancelled,
                  std::make_shared<Upload>(runner_, connection.session_name(), std::string(request.sql),
                                           std::move(stream), std::move(transaction)));
  return Answer{wire::WaitingPrepareResponse(request.result)};
}

Result<Answer> Responder::Fetch(Connection& connection, std::string_view body,
                                const session::Caller& caller) {
  const Dialect dialect = connection.dialect();
  const auto request = wire::ParseFetchRequest(dialect, body);
  if (!request) return std::unexpected(request.error());
  if (const auto upload = connection.FindUpload(request->result)) {
    return FetchUpload(connection, *upload, *request, caller);
  }
  const auto rows = connection.FindRows(request->result);
  if (!rows && connection.HasEnded(request->result)) return Answer{wire::FetchEnd(dialect, 0)};
  if (!rows) return Closed();
  Result<OpenRows::Batch> batch;
  {
    // A client that leaves in the middle of a result wants no more of it.
    const session::CallWatch::Guard guard(runner_.watch(), caller.gone, [&rows] { rows->Cancel(); });
    batch = dialect == Dialect::kV1 ? rows->Next() : rows->At(request->batch, request->acknowledged);
  }
  connection.NoteFetched(request->result);
  if (!batch) return std::unexpected(batch.error());
  if (batch->units.empty()) return Answer{wire::FetchEnd(dialect, batch->number)};
  uint64_t chunks = 0;
  for (const auto& unit : batch->units) chunks += unit->ends.size();
  Answer answer;
  answer.emplace_back(wire::FetchResponseHead(dialect, chunks, batch->number));
  for (const auto& unit : batch->units) AddRows(answer, unit, dialect == Dialect::kV1);
  if (dialect == Dialect::kV1) answer.emplace_back(wire::FetchResponseTail(dialect, batch->number));
  return answer;
}

Result<Answer> Responder::FetchUpload(Connection& connection, Upload& upload,
                                      const wire::FetchRequest& request, const session::Caller& caller) {
  const Dialect dialect = connection.dialect();
  if (request.batch > 1) return Answer{wire::FetchEnd(dialect, 1)};
  const auto count = upload.Await(caller);
  if (!count) {
    // Also when its client only waits no longer: nobody would hear of its end.
    upload.Cancel();
    connection.EndUpload(request.result);
    return std::unexpected(count.error());
  }
  return Answer{wire::FetchResponseHead(dialect, 1, 1) + wire::CountChunk(*count)};
}

Result<Answer> Responder::Append(Connection& connection, std::string_view body,
                                 const session::Caller& caller) {
  const auto request = wire::ParseAppendRequest(body);
  if (!request) return std::unexpected(request.error());
  if (const auto checked = wire::CheckChunks(request->chunk, 1); !checked)
    return std::unexpected(checked.error());
  MakeRoom(connection, caller);
  const std::string sql = "INSERT INTO " +
                          (request->schema.empty() ? "" : Identifier(request->schema) + ".") +
                          Identifier(request->table) + " SELECT * FROM " + engine::kChunksFunction + "()";
  const auto written = runner_.InsertChunks(caller, sql, {request->chunk});
  if (!written) return std::unexpected(written.error());
  return Answer{wire::Success()};
}

Result<Answer> Responder::Receive(Connection& connection, std::string_view body,
                                  const session::Caller& caller) {
  const auto rows = wire::ParseStreamedRows(body);
  if (!rows) return std::unexpected(rows.error());
  const auto upload = connection.FindUpload(rows->stream);
  if (!upload) {
    return Fail(
        ErrorCode::kNotFound,
        "Invalid Input Error: there is no statement that reads these rows; it has ended or was cancelled.");
  }
  if (const auto checked = wire::CheckChunks(rows->rows, rows->chunks); !checked) {
    upload->Fail(checked.error());
    return std::unexpected(checked.error());
  }
  if (const auto added = upload->Add(caller, *rows); !added) return std::unexpected(added.error());
  return Answer{wire::AppendResponse()};
}

}  // namespace pondpilot::worker::quack
