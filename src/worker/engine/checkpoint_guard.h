#pragma once

#include "worker/engine/duckdb_headers.h"

namespace pondpilot::worker::engine {

// CHECKPOINT of an attached PostgreSQL or MySQL sends the word to its server, past READ_ONLY; a role that may
// do so (every superuser) makes the whole server write its pages out, as often as a tenant likes. From here
// on CHECKPOINT, in all its forms, works on DuckDB's own databases only. Before tenants connect; `own` is the
// worker's connection. Throws what DuckDB throws.
void GuardCheckpoint(duckdb::Connection& own);

}  // namespace pondpilot::worker::engine
