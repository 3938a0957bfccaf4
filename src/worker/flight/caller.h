#pragma once

#include <arrow/flight/server.h>

#include <string>

#include "worker/session/statement_runner.h"

namespace pondpilot::worker::flight {

// The name of the client's connection, which the proxy adds to each call. It stands for the session.
std::string SessionOf(const arrow::flight::ServerCallContext& context);

// Who asks, in `transaction` when that is not empty. `context` must outlive the result.
session::Caller CallerOf(const arrow::flight::ServerCallContext& context,
                         const std::string& transaction = "");

// The same for questions and loads, which run inside the session's only open transaction without its handle.
session::Caller JoiningCallerOf(const arrow::flight::ServerCallContext& context,
                                const std::string& transaction = "");

// The same for calls that stand for themselves: nothing of the session is theirs, and they don't wait for it.
session::Caller AloneCallerOf(const arrow::flight::ServerCallContext& context);

}  // namespace pondpilot::worker::flight
