#pragma once

#include "jail/jailer/spawner.h"

namespace pondpilot::jail {

// Answers the proxy's requests (wire.h) on `channel`, a SOCK_SEQPACKET socket, and tells of workers that have
// ended, until the proxy closes it. Workers that run then go on: a proxy that starts again may adopt them,
// and without one they end by their lease.
void ServeJailer(int channel, SpawnerOptions options);

}  // namespace pondpilot::jail
