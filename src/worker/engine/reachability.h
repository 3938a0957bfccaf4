#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/error.h"

namespace pondpilot::worker::engine {

// Does a PostgreSQL server answer at `host`:`port`? Asks for encryption as every client may (SSLRequest of
// PostgreSQL's frontend/backend protocol), which any server answers with one byte, and leaves.
//
// DuckDB connects to one PostgreSQL server after the other, so that each that says nothing would keep the
// others waiting for its whole time-out; this can be asked of all at once. kUnavailable, with the reason as a
// sentence without the address, when none of its addresses answers within `limit`, which each has for itself
// as in libpq. The time for resolving the name comes on top; the worker's resolver is bounded by
// kResolverOptions.
base::Result<void> CheckPostgresAnswers(const std::string& host, uint16_t port,
                                        std::chrono::milliseconds limit);

// For RES_OPTIONS (resolv.conf(5)), to be set before threads start: a name server that says nothing costs two
// seconds twice, not five.
inline constexpr char kResolverOptions[] = "timeout:2 attempts:2";

}  // namespace pondpilot::worker::engine
