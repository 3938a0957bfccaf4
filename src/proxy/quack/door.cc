#include "proxy/quack/door.h"

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <utility>

#include "proxy/auth/token_verifier.h"
#include "proxy/fleet/acquire.h"
#include "proxy/fleet/shutting_down.h"
#include "proxy/http/problem.h"
#include "proxy/quack/quack_call.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::quack {
namespace {

using base::Error;
using base::ErrorCode;
using boost::asio::awaitable;
using Piece = contract::QuackPiece;

constexpr char kMediaType[] = "application/vnd.duckdb";
// What is said of the server, beside the version of the protocol.
constexpr char kServerVersion[] = "PondPilot Proxy";
constexpr uint64_t kLeaseSeconds = 60;
// The longest token and some words about the client.
constexpr size_t kMaxConnectionRequestBytes = auth::kMaxTokenBytes + (8 << 10);
// An answer up to this size goes out together with its headers.
constexpr uint64_t kWholeBytes = 64 << 10;

http::Response ToAnswer(std::string message) {
  http::Response response;
  response.content_type = kMediaType;
  response.body = std::move(message);
  return response;
}

// DuckDB shows the text as the message of an exception, whose class stands in front.
std::string ClassOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kPermissionDenied:
      return "Permission Error: ";
    case ErrorCode::kUnimplemented:
      return "Not implemented Error: ";
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
      return "Invalid Input Error: ";
    default:
      return "Connection Error: ";
  }
}

http::Response ToRefusal(wire::Dialect dialect, const Error& error, const std::string& request_id) {
  const http::Problem problem = http::ToProblem(error);
  telemetry::Log(telemetry::Level::kWarn, "Quack message refused",
                 {{"request_id", request_id}, {"code", problem.code}, {"error", error.message}});
  http::Response response = ToAnswer(wire::ErrorResponse(dialect, ClassOf(error.code) + error.message));
  response.counted_status = problem.status;
  return response;
}

// Messages of version 1 that bring rows, each a statement of its own: so many cost what a statement costs.
constexpr uint64_t kAppendsForOne = 32;
// How long a worker may take to let go of a connection.
constexpr std::chrono::seconds kDisconnectWait(5);

// A message that is at the worker. Answers to messages that overlap come in any order: what one of them says
// is no longer held may be held since; that is believed of one that was alone.
class Turn {
 public:
  explicit Turn(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)),
        number_(++connection_->messages),
        began_alone_(connection_->open_messages++ == 0) {}
  ~Turn() { --connection_->open_messages; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  void Note(const Piece& piece) {
    // What a worker before said counts no more.
    if (!piece.last || connection_->worker_id != worker_id_) return;
    const bool overlapped = !began_alone_ || connection_->messages != number_;
    connection_->holds_state = piece.holds_state || (overlapped && connection_->holds_state);
    connection_->holds_results = piece.holds_results || (overlapped && connection_->holds_results);
  }

 private:
  const std::shared_ptr<Connection> connection_;
  const std::string worker_id_ = connection_->worker_id;
  const uint64_t number_;
  const bool began_alone_;
};

http::BodyWriter::Buffers BuffersOf(const Piece& piece) {
  http::BodyWriter::Buffers buffers;
  buffers.reserve(piece.data.size());
  for (const ::grpc::Slice& slice : piece.data) buffers.emplace_back(slice.begin(), slice.size());
  return buffers;
}

// Passes the answer on as it comes.
awaitable<void> Pass(std::shared_ptr<QuackCall> call, Piece piece, std::shared_ptr<Turn> turn,
                     http::BodyWriter& writer, std::string request_id) {
  for (;;) {
    turn->Note(piece);
    const bool last = piece.last;
    const auto buffers = BuffersOf(piece);
    const bool written = co_await writer.Write(buffers);
    if (last || !written) co_return;
    auto next = co_await call->Next();
    if (!next) {
      telemetry::Log(
          telemetry::Level::kWarn, "A Quack answer broke off",
          {{"request_id", request_id}, {"error", next.error().message}, {"detail", next.error().detail}});
      writer.Cut();
      co_return;
    }
    piece = std::move(*next);
  }
}

// May the message make a worker start? The others are about what is in one.
bool BeginsWork(const Connection& connection, wire::Type type) {
  return type == wire::Type::kPrepareRequest ||
         (type == wire::Type::kAppendRequest && connection.dialect == wire::Dialect::kV1);
}

Error StateIsLost() {
  return {
      ErrorCode::kAborted,
      "The worker of this connection was replaced: its settings, temporary tables and open transaction are "
      "gone. Begin again.",
      "",
      {}};
}

}  // namespace

QuackDoor::QuackDoor(QuackServices services)
    : services_(std::move(services)), connections_(*services_.clock) {}

awaitable<http::Response> QuackDoor::Handle(const http::Request& request) {
  std::string_view body;
  const auto header = wire::ParseHeader(request.body, body);
  if (!header) co_return ToRefusal(wire::Dialect::kV1, header.error(), request.request_id);
  if (header->type == wire::Type::kConnectionRequest) {
    http::Response connected = co_await Connect(request, body);
    co_return connected;
  }
  const auto connection = connections_.Find(header->connection_id);
  if (connection == nullptr) co_return RefuseUnknown(request);
  const bool busy = connection->holds_state || connection->holds_results;
  if (header->type == wire::Type::kDisconnect) {
    connections_.Remove(connection->id);
    // A client that says so and goes has said it: the worker hears of it all the same.
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  }
  if (!busy && (header->type == wire::Type::kDisconnect || header->type == wire::Type::kHeartbeat)) {
    // No worker is started, or kept from its rest, for these.
    co_return ToAnswer(wire::Success());
  }
  if (const auto refused = Check(*connection, header->type)) {
    co_return ToRefusal(connection->dialect, *refused, request.request_id);
  }
  http::Response answer = co_await Forward(request, connection, header->type);
  co_return answer;
}

http::Response QuackDoor::RefuseUnknown(const http::Request& request) {
  return ToRefusal(wire::Dialect::kV1,
                   {ErrorCode::kNotFound,
                    "Invalid connection id: the server does not know this connection any more, most likely "
                    "because it was started anew. DETACH the database and ATTACH it again.",
                    "",
                    {}},
                   request.request_id);
}

std::optional<http::Response> QuackDoor::RefuseBody(const http::Request& head, std::string_view begin) {
  std::string_view rest;
  const auto header = wire::ParseHeader(begin, rest);
  if (!header) return ToRefusal(wire::Dialect::kV1, header.error(), head.request_id);
  if (header->type == wire::Type::kConnectionRequest) {
    // One of unknown length has come as far as small bodies go.
    const std::string_view length = head.Header("Content-Length");
    size_t bytes = 0;
    const auto read = std::from_chars(length.data(), length.data() + length.size(), bytes);
    if (read.ec == std::errc() && bytes <= kMaxConnectionRequestBytes) return std::nullopt;
    return ToRefusal(wire::Dialect::kV1,
                     {ErrorCode::kInvalidArgument,
                      "A message that asks for a connection may have up to " +
                          std::to_string(kMaxConnectionRequestBytes) + " bytes, its token included.",
                      "",
                      {}},
                     head.request_id);
  }
  const auto connection = connections_.Find(header->connection_id);
  if (connection == nullptr) return RefuseUnknown(head);
  if (const auto refused = CheckToken(*connection, header->type)) {
    return ToRefusal(connection->dialect, *refused, head.request_id);
  }
  // The others have nothing to say at such a length.
  if (header->type == wire::Type::kPrepareRequest || header->type == wire::Type::kAppendRequest)
    return std::nullopt;
  return ToRefusal(connection->dialect,
                   {ErrorCode::kInvalidArgument, "A message of this type is not as long as this.", "", {}},
                   head.request_id);
}

std::optional<Error> QuackDoor::CheckToken(const Connection& connection, wire::Type type) const {
  if (type == wire::Type::kDisconnect || type == wire::Type::kCancel) return std::nullopt;
  if (services_.clock->WallNow() >= connection.principal.expires_at) {
    return Error{ErrorCode::kUnauthenticated,
                 "The token has expired. DETACH the database and ATTACH it again with a new token.",
                 "",
                 {}};
  }
  return std::nullopt;
}

std::optional<Error> QuackDoor::Check(Connection& connection, wire::Type type) const {
  if (auto refused = CheckToken(connection, type)) return refused;
  // What belongs to a statement that was let in costs nothing more.
  if (!BeginsWork(connection, type)) return std::nullopt;
  const bool append = type == wire::Type::kAppendRequest;
  if (append && connection.appends % kAppendsForOne != 0) {
    ++connection.appends;
    return std::nullopt;
  }
  if (services_.draining->load()) {
    return Error{ErrorCode::kUnavailable, fleet::kShuttingDown, "", {}};
  }
  const limits::Answer admitted = services_.gate->Admit(connection.principal);
  if (!admitted.taken) return admitted.taken.error();
  connection.appends = append ? connection.appends + 1 : 0;
  return std::nullopt;
}

awaitable<http::Response> QuackDoor::Connect(const http::Request& request, std::string_view body) {
  const auto asked = wire::ParseConnectionRequest(body);
  if (!asked) co_return ToRefusal(wire::Dialect::kV1, asked.error(), request.request_id);
  const auto dialect = wire::Choose(*asked);
  // Who speaks something newer reads the newest that there is here, most likely.
  const auto told = dialect.value_or(asked->least_version > 1 ? wire::Dialect::kV3 : wire::Dialect::kV1);
  const auto refuse = [&](const Error& error) { return ToRefusal(told, error, request.request_id); };
  if (!dialect) {
    co_return refuse({ErrorCode::kUnimplemented,
                      "The client speaks versions " + std::to_string(asked->least_version) + " to " +
                          std::to_string(asked->most_version) +
                          " of Quack; 1 (DuckDB 1.5) and 3 (DuckDB 2.0) are served here.",
                      "",
                      {}});
  }
  const auto principal = services_.gate->IdentifyToken(asked->token, request);
  if (!principal) {
    Error error = principal.error();
    error.message += " Give a valid token: ATTACH '…' (TOKEN '<token>').";
    co_return refuse(error);
  }
  if (services_.draining->load()) {
    co_return refuse({ErrorCode::kUnavailable, fleet::kShuttingDown, "", {}});
  }
  const limits::Answer admitted = services_.gate->Admit(*principal);
  if (!admitted.taken) co_return refuse(admitted.taken.error());
  // So that ATTACH says what is wrong with the worker, if anything is.
  const auto deadline = services_.clock->Now() + services_.worker_wait->load();
  auto lease =
      co_await fleet::AcquireWorker(services_.fleet, principal->user_id, principal->profile, deadline);
  if (!lease) co_return refuse(lease.error());
  const auto connection = connections_.Add(*principal, *dialect);
  telemetry::Log(telemetry::Level::kInfo, "Quack client attached",
                 {{"user_id", principal->user_id},
                  {"request_id", request.request_id},
                  {"version", static_cast<int>(*dialect)}});
  co_return ToAnswer(wire::ConnectionResponse(*dialect, connection->id, kServerVersion, kLeaseSeconds));
}

awaitable<http::Response> QuackDoor::Forward(const http::Request& request,
                                             std::shared_ptr<Connection> connection, wire::Type type) {
  const auth::Principal& principal = connection->principal;
  const auto refuse = [&](const Error& error) {
    return ToRefusal(connection->dialect, error, request.request_id);
  };
  if (!BeginsWork(*connection, type) &&
      !services_.fleet->HasWorker(principal.user_id, connection->worker_id)) {
    connection->Lose();
    if (!wire::WantsWork(type)) co_return ToAnswer(wire::Success());
    if (std::exchange(connection->lost_state, false)) co_return refuse(StateIsLost());
    co_return refuse({ErrorCode::kNotFound,
                      "The statement of this message is no longer there: its worker was stopped or replaced. "
                      "Run it again.",
                      "",
                      {}});
  }
  const auto deadline = services_.clock->Now() + services_.worker_wait->load();
  auto lease = co_await fleet::AcquireWorker(services_.fleet, principal.user_id, principal.profile, deadline);
  if (!lease) co_return refuse(lease.error());
  const std::string worker_id = lease->worker().worker_id;
  if (connection->worker_id != worker_id) connection->Lose();
  connection->worker_id = worker_id;
  // A statement that was meant for a transaction must not run outside it; to what is no statement nothing has
  // to be said, and nobody would hear it.
  if (wire::WantsWork(type) && std::exchange(connection->lost_state, false)) co_return refuse(StateIsLost());
  pondpilot::quack::v1::Request message;
  message.set_message(request.body);
  // The id is the client's secret and says nothing to the worker.
  std::fill_n(message.mutable_message()->begin() + wire::kIdOffset, wire::kIdBytes, '0');
  message.set_connection(connection->name);
  message.set_dialect(static_cast<uint32_t>(connection->dialect));
  const auto call = std::make_shared<QuackCall>(std::move(*lease), queue_, request.request_id, "");
  // Until its last piece says otherwise, the statement holds something.
  if (type == wire::Type::kPrepareRequest) connection->holds_results = true;
  const auto turn = std::make_shared<Turn>(connection);
  if (type == wire::Type::kDisconnect) call->SetDeadline(kDisconnectWait);
  call->Start(message);
  auto piece = co_await call->Next();
  if (!piece) co_return refuse(piece.error());
  turn->Note(*piece);
  http::Response response = ToAnswer("");
  if (piece->last && piece->size <= kWholeBytes) {
    for (const ::grpc::Slice& slice : piece->data)
      response.body.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    co_return response;
  }
  response.stream_bytes = piece->size;
  response.stream = [call, first = std::move(*piece), turn, id = request.request_id](
                        http::BodyWriter& writer) { return Pass(call, first, turn, writer, id); };
  co_return response;
}

}  // namespace pondpilot::proxy::quack
