#include "worker/quack/quack_service.h"

#include <utility>

#include "worker/session/call_token.h"

namespace pondpilot::worker::quack {
namespace {

namespace proto = pondpilot::quack::v1;

constexpr size_t kMaxConnectionName = 128;

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
  proto::Piece piece;
  if (call) {
    Connection& connection = call->connection();
    answer = responder_.Respond(
        connection, request->message(), [context] { return context->IsCancelled(); }, request->connection());
    const auto state = runner_.sessions().StateOf(connection.session_name());
    // What is lost is still to be told of, also after this worker.
    piece.set_holds_state((state && state->has_state) || connection.lost());
    piece.set_holds_results(connection.holds_results());
  } else {
    answer.push_back(wire::ErrorResponse(dialect, call.error().message));
  }
  for (size_t i = 0; i < answer.size(); ++i) {
    piece.set_data(std::move(answer[i]));
    piece.set_last(i + 1 == answer.size());
    if (!writer->Write(piece)) break;
  }
  return grpc::Status::OK;
}

}  // namespace pondpilot::worker::quack
