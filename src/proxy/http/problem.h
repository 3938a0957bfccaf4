#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "proxy/http/message.h"

namespace pondpilot::proxy::http {

// One kind of failure that HTTP clients see. `code` is stable and documented in docs/http-api.md.
struct Problem {
  unsigned status = 500;
  std::string code;    // "not_found"
  std::string title;   // the same for every occurrence
  std::string detail;  // what failed here, and what to do
  std::optional<std::chrono::milliseconds> retry_after;
};

// The one mapping from the project's codes to HTTP. Only the public message goes out.
Problem ToProblem(const base::Error& error);

// application/problem+json (RFC 9457) with the request id; 401 carries WWW-Authenticate, a known wait
// Retry-After.
Response ToResponse(const Problem& problem, const std::string& request_id);

}  // namespace pondpilot::proxy::http
