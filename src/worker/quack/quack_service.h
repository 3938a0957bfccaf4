#pragma once

#include <atomic>
#include <string>

#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/sync_stream.h>

#include "contract/quack_exchange.h"
#include "worker/quack/connection.h"
#include "worker/quack/responder.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::quack {

// The worker's side of contract/quack.proto. Every call must carry the worker's token.
class QuackService final : public contract::QuackExchange::Service {
 public:
  // The runner and the clock must outlive the service.
  QuackService(session::StatementRunner& runner, const base::Clock& clock, std::string token_sha256);

  // Until this is called, every call is refused: the worker has no user yet.
  void StartServing() { serving_.store(true); }

 private:
  grpc::Status Exchange(grpc::ServerContext* context, const pondpilot::quack::v1::Request* request,
                        Writer* writer) override;

  session::StatementRunner& runner_;
  Connections connections_;
  Responder responder_;
  const std::string token_sha256_;
  std::atomic<bool> serving_{false};
};

}  // namespace pondpilot::worker::quack
