#pragma once

#include <string>

#include "base/error.h"
#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {

// Finds out whether there is any point in attaching; the error is as AttachDatabase's. Takes its time at the
// same time as others do, which attaching does not.
base::Result<void> CheckReachable(const Attachment& attachment);

// Attaches one database over `connection`, which must have external access. Credentials go through a DuckDB
// secret that is dropped before this returns: a connection string would show them to the tenant. Bounded in
// time. The error's message is a sentence for the user without password or address; its detail is the
// driver's own text.
base::Result<void> AttachDatabase(duckdb::Connection& connection, const Attachment& attachment);

// `text` as a SQL string literal, and as a quoted identifier.
std::string SqlLiteral(std::string_view text);
std::string SqlIdentifier(std::string_view text);

}  // namespace pondpilot::worker::engine
