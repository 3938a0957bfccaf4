#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {

// Takes away from every connection of the database, for good, what a tenant must not have: functions that
// pass text to a database or read files, the file system, changes of the configuration. `own` is the worker's
// own connection. After all that has to be loaded is loaded.
base::Result<void> LockDown(duckdb::Connection& own);

// Tries, on a connection like a tenant's, what must not work any more. An error names what still does.
base::Result<void> ProveLockDown(duckdb::DuckDB& database, const std::vector<Attachment>& attachments);

// One of the functions that LockDown takes away, of whatever kind, that is still there; empty when none is.
std::string RemainingFunction(duckdb::Connection& tenant);

// While it lives, `own` may open connections to databases although the database is locked. Other connections
// may not.
class ExternalAccess {
 public:
  explicit ExternalAccess(duckdb::Connection& own);
  ~ExternalAccess();
  ExternalAccess(const ExternalAccess&) = delete;
  ExternalAccess& operator=(const ExternalAccess&) = delete;

 private:
  duckdb::Connection& own_;
};

}  // namespace pondpilot::worker::engine
