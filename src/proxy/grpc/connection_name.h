#pragma once

#include <string>

namespace pondpilot::proxy::grpc {

// Names a client's connection to the worker. `peer` is its address as gRPC gives it, unique while the
// connection lives; a key of this process makes the name say nothing and lets nobody guess it. Thread-safe;
// what a thread has named lately it remembers.
std::string ConnectionName(const std::string& peer);

}  // namespace pondpilot::proxy::grpc
