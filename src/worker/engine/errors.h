#pragma once

#include <exception>

#include "base/error.h"
#include "worker/engine/duckdb_headers.h"

namespace pondpilot::worker::engine {

// DuckDB's class decides the code; the message is DuckDB's own, with its position and hint.
base::Error ToError(const duckdb::ErrorData& error);

// For what DuckDB throws, std::bad_alloc included.
base::Error ToError(const std::exception& thrown);

// For a call that could not begin because other statements have taken all memory.
base::Error NoRoomToRun();

}  // namespace pondpilot::worker::engine
