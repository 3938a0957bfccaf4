#pragma once

#include <string>

namespace pondpilot::worker::flight {

// Whether a Unix socket can be made at `path`: the folder may be read-only, on a file system without
// sockets, or kept from this process by the machine's own rules. What was at `path` is removed.
bool CanMakeSocket(const std::string& path);

// Lets every user connect who can see the folder: it is this worker's and its proxy's alone, but the two may
// run as different users.
bool OpenSocketToProxy(const std::string& path);

}  // namespace pondpilot::worker::flight
