#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {

// Takes away from every connection of the database, for good, what a tenant must not have and what does not
// depend on who the tenant is: functions that pass text to a database or read files. `own` is the worker's own
// connection. Once, after the scanners have been loaded, while nobody waits.
base::Result<void> Restrict(duckdb::Connection& own);

// Tries, on a connection like a tenant's, what Restrict has taken away. An error names what is still there.
base::Result<void> ProveRestricted(duckdb::DuckDB& database);

// Takes away the rest: the file system, changes of the configuration. After all that has to be loaded and
// attached is there.
base::Result<void> LockDown(duckdb::Connection& own);

// Tries, on a connection like a tenant's, what must not work any more after both. An error names what still
// does.
base::Result<void> ProveLockDown(duckdb::DuckDB& database, const std::vector<Attachment>& attachments);

// One of the functions that Restrict takes away, of whatever kind, that is still there; empty when none is.
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
