#pragma once

namespace pondpilot::worker::flight {

// Makes gRPC of this process one that sleeps while nobody calls. By itself it looks for timers that are due
// up to 33 times a second, more often the more cores the machine has, also when there are none. From now on
// TickGrpcTimers is what looks. Once, before the first server; never undone.
void QuietGrpc();

// Runs those of gRPC's timers that are due: limits of calls, which the proxy keeps as well, and how often the
// window for uploads is measured. Cheap when there are none. From any thread that is not gRPC's.
void TickGrpcTimers();

}  // namespace pondpilot::worker::flight
