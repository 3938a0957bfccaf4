#pragma once

namespace pondpilot::base {

// Debian's abseil, on which gRPC stands, looks for lock-order mistakes at every lock that is taken while
// another is held: a check for gRPC's own developers, behind one lock for the whole process. Switches it off.
// Call it first in main.
void SkipLockOrderChecks();

}  // namespace pondpilot::base
