#pragma once

#include <atomic>
#include <string>

#include "contract/sql.grpc.pb.h"
#include "worker/engine/engine.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::documents {

// The worker's side of contract/sql.proto: statements whose results leave as documents. Every call must carry
// the worker's token.
class SqlService final : public pondpilot::sql::v1::Sql::Service {
 public:
  // Everything must outlive the service.
  SqlService(engine::Engine& engine, session::StatementRunner& runner, std::string token_sha256);

  // Until this is called, every call is refused: the worker has no user yet.
  void StartServing() { serving_.store(true); }

  using Writer = grpc::ServerWriter<pondpilot::sql::v1::Piece>;
  grpc::Status Run(grpc::ServerContext* context, const pondpilot::sql::v1::RunRequest* request,
                   Writer* writer) override;
  grpc::Status Catalog(grpc::ServerContext* context, const pondpilot::sql::v1::CatalogRequest* request,
                       Writer* writer) override;

 private:
  grpc::Status Check(const grpc::ServerContext& context) const;

  engine::Engine& engine_;
  session::StatementRunner& runner_;
  const std::string token_sha256_;
  std::atomic<bool> serving_{false};
};

}  // namespace pondpilot::worker::documents
