#pragma once

#include <expected>
#include <functional>

#include "config/loader.h"

namespace pondpilot::proxy {

// Exit codes, documented in docs/operations.md.
inline constexpr int kExitOk = 0;
inline constexpr int kExitConfiguration = 2;  // a mistake in the configuration
inline constexpr int kExitEnvironment = 3;    // something outside is not usable: socket, image, network, port

// Reads the configuration as at the start.
using ReadConfiguration = std::function<std::expected<config::Loaded, config::Problems>()>;

// Runs the proxy until SIGTERM or SIGINT and returns its exit code; on SIGHUP reads the configuration again
// and takes what can be changed. The composition root: nothing else wires modules.
int Serve(const config::Loaded& loaded, const ReadConfiguration& read_again);

}  // namespace pondpilot::proxy
