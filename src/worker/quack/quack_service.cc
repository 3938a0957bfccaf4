#include "worker/quack/quack_service.h"

#include <utility>

#include "worker/session/call_token.h"

namespace pondpilot::worker::quack {
namespace {

namespace proto = pondpilot::quack::v1;

constexpr size_t kMaxConnectionName = 128;
// What goes to the proxy at once: it passes one on while the next comes.
constexpr size_t kPieceBytes = 512 << 10;
// Less than this is copied: gRPC keeps it in the slice itself.
constexpr size_t kCopiedBytes = 64;

grpc::Slice ToSlice(const Part& part) {
  if (part.bytes.size() <= kCopiedBytes) return {part.bytes.data(), part.bytes.size()};
  using Owner = std::shared_ptr<const void>;
  // gRPC writes from it, never to it.
  return {const_cast<char*>(part.bytes.data()), part.bytes.size(),
          [](void* owner) { delete static_cast<Owner*>(owner); }, new Owner(part.owner)};
}

}  // namespace

QuackService::QuackService(session::StatementRunner& runner, const base::Clock& clock,
                           std::string token_sha256)
    : runner_(runner),
      connections_(runner, clock),
      responder_(runner, connections_),
      token_sha256_(std::move(token_sha256)) {}

grpc::Status QuackService::Exchange(grpc::ServerContext* context, const proto::Request* request,
                                    Writer* writer) {
  if (grpc::Status checked = session::CheckCallToken(*context, token_sha256_); !checked.ok()) return checked;
  if (!serving_.load()) return {grpc::StatusCode::FAILED_PRECONDITION, "This worker has no user yet."};
  const bool v1 = request->dialect() == static_cast<uint32_t>(wire::Dialect::kV1);
  const bool v3 = request->dialect() == static_cast<uint32_t>(wire::Dialect::kV3);
  if ((!v1 && !v3) || request->connection().empty() || request->connection().size() > kMaxConnectionName)
    return {grpc::StatusCode::INVALID_ARGUMENT, "A connection has a name and a version of the protocol."};
  const auto dialect = v1 ? wire::Dialect::kV1 : wire::Dialect::kV3;
  const auto call = connections_.Get(request->connection(), dialect);
  Responder::Answer answer;
  bool holds_state = false;
  bool holds_results = false;
  if (call) {
    Connection& connection = call->connection();
    answer = responder_.Respond(
        connection, request->message(), [context] { return context->IsCancelled(); }, request->connection());
    const auto state = runner_.sessions().StateOf(connection.session_name());
    // What is lost is still to be told of, also after this worker.
    holds_state = (state && state->has_state) || connection.lost();
    holds_results = connection.holds_results();
  } else {
    answer.emplace_back(wire::ErrorResponse(dialect, call.error().message));
  }
  contract::QuackPiece piece;
  for (const Part& part : answer) piece.size += part.bytes.size();
  size_t bytes = 0;
  for (size_t i = 0; i < answer.size(); ++i) {
    bytes += answer[i].bytes.size();
    piece.data.push_back(ToSlice(answer[i]));
    piece.last = i + 1 == answer.size();
    if (!piece.last && bytes < kPieceBytes) continue;
    piece.holds_state = piece.last && holds_state;
    piece.holds_results = piece.last && holds_results;
    if (!writer->Write(piece)) break;
    piece = {};
    bytes = 0;
  }
  return grpc::Status::OK;
}

}  // namespace pondpilot::worker::quack
