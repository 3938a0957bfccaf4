#pragma once

#include <memory>
#include <mutex>

#include "worker/engine/call_gate.h"
#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"
#include "worker/engine/statement_policy.h"

namespace pondpilot::worker::engine {

class DuckDbEngine;

class DuckDbConnection final : public Connection {
 public:
  // `engine` must outlive the connection.
  DuckDbConnection(DuckDbEngine& engine, std::shared_ptr<duckdb::Connection> connection);

  base::Result<std::unique_ptr<ResultStream>> Execute(std::string_view sql) override;
  void Interrupt() override;
  bool InTransaction() const override;
  bool HasState() const override;

 private:
  base::Result<std::unique_ptr<ResultStream>> Run(std::string_view sql);
  base::Result<std::unique_ptr<ResultStream>> RunOne(duckdb::unique_ptr<duckdb::SQLStatement> statement,
                                                     bool last);

  DuckDbEngine& engine_;
  std::shared_ptr<duckdb::Connection> connection_;
  std::shared_ptr<CallGate> gate_ = std::make_shared<CallGate>();
  std::atomic<bool> executing_{false};
  std::atomic<bool> interrupted_{false};
  std::atomic<bool> has_state_{false};
};

}  // namespace pondpilot::worker::engine
