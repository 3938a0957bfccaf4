#pragma once

#include <cstddef>
#include <cstdint>
#include <set>

namespace pondpilot::worker::engine {

// Shuts down every TCP connection that this process has opened to one of `ports`, so that a driver that waits
// for its server in there returns with an error; the scanners connect again with the next query. Connections
// that were accepted (their local port is one this process listens on) are never touched. Returns how many it
// shut down.
//
// It can't tell which of the connections belongs to the cancelled query: other queries of the same user to
// these servers fail, too, which is why it comes only after DuckDB's own interrupt has been ignored for a
// while.
size_t ShutDownRemoteSockets(const std::set<uint16_t>& ports);

}  // namespace pondpilot::worker::engine
