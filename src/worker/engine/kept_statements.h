#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <string_view>

#include "worker/engine/duckdb_headers.h"

namespace pondpilot::worker::engine {

// Statements of one connection that DuckDB has prepared and that have run, for when the same text comes again
// with other values: to parse and plan it takes longer than to run it when it touches one row. DuckDB plans
// one anew itself when a table that it touches has changed; Clear is for what it doesn't see. Thread-safe;
// what is dropped is so on the calling thread, which must be one that may enter DuckDB on this connection.
class KeptStatements {
 public:
  static constexpr size_t kMost = 16;
  static constexpr size_t kMaxSqlBytes = 8192;

  // Null when it isn't kept. The caller gives it back by Put when it has run without an error.
  duckdb::unique_ptr<duckdb::PreparedStatement> Take(std::string_view sql);
  // Keeps it when it reads and changes rows of the worker's own tables only; of others, which DuckDB plans
  // anew each time anyway, a plan must not outlive their attachment.
  void Put(std::string sql, duckdb::unique_ptr<duckdb::PreparedStatement> statement);
  // Before a statement that may change what names and settings mean.
  void Clear();

  // Does such a statement leave the meaning of others as it was?
  static bool IsPlain(duckdb::StatementType type);

 private:
  struct Kept {
    std::string sql;
    duckdb::unique_ptr<duckdb::PreparedStatement> statement;
  };

  std::mutex mutex_;
  std::list<Kept> kept_;  // the one that was used last is the first
};

}  // namespace pondpilot::worker::engine
