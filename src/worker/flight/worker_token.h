#pragma once

#include <arrow/flight/server_middleware.h>

#include <memory>
#include <string>

namespace pondpilot::worker::flight {

// The trailer on everything that the worker answers itself. An UNAVAILABLE without any trailer is a broken
// connection to the proxy.
inline constexpr char kAnswerTrailer[] = "x-pondpilot-worker";

// Refuses every Flight call that does not carry the worker's token (UNAUTHENTICATED).
std::shared_ptr<arrow::flight::ServerMiddlewareFactory> RequireWorkerToken(std::string token_sha256);

}  // namespace pondpilot::worker::flight
