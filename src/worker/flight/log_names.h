#pragma once

#include <arrow/flight/server_middleware.h>

#include <memory>

namespace pondpilot::worker::flight {

// Has the lines that are logged during a call say which it is: its request id, and its client's trace.
std::shared_ptr<arrow::flight::ServerMiddlewareFactory> NameCallsInLog();

}  // namespace pondpilot::worker::flight
