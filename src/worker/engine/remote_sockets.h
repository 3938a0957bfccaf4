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

// How long a connection to a database may hear nothing at all from the other host, not even from its kernel.
inline constexpr int kKeepAliveIdleSeconds = 2;
inline constexpr int kKeepAliveIntervalSeconds = 1;
inline constexpr int kKeepAliveProbes = 3;
inline constexpr int kUnansweredMs = 5000;

// Makes the kernel end the same connections when their host has fallen silent for that long; a server that is
// only slow is not affected. For drivers that can't be told so in their connection string. Returns how many
// connections have been given these bounds by this call.
size_t BoundSilence(const std::set<uint16_t>& ports);

}  // namespace pondpilot::worker::engine
