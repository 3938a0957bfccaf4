#pragma once

#include "config/loader.h"

namespace pondpilot::proxy {

// Exit codes, documented in docs/operations.md.
inline constexpr int kExitOk = 0;
inline constexpr int kExitConfiguration = 2;  // a mistake in the configuration
inline constexpr int kExitEnvironment = 3;    // something outside is not usable: socket, image, network, port

// Runs the proxy until SIGTERM or SIGINT and returns its exit code. The composition root: nothing else wires
// modules.
int Serve(const config::Loaded& loaded);

}  // namespace pondpilot::proxy
