#include "proxy/http/problem.h"

#include <nlohmann/json.hpp>

namespace pondpilot::proxy::http {

Problem ToProblem(const base::Error& error) {
  using base::ErrorCode;
  const auto problem = [&](unsigned status, std::string code, std::string title) {
    return Problem{status, std::move(code), std::move(title), error.message, error.retry_after};
  };
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
      return problem(400, "invalid_request", "The request is not valid");
    case ErrorCode::kUnauthenticated:
      return problem(401, "unauthenticated", "A valid token is needed");
    case ErrorCode::kPermissionDenied:
      return problem(403, "permission_denied", "This is not allowed");
    case ErrorCode::kNotFound:
      return problem(404, "not_found", "There is no such thing");
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kFailedPrecondition:
    case ErrorCode::kAborted:
      return problem(409, "conflict", "The request does not fit the current state");
    case ErrorCode::kResourceExhausted:
      return problem(429, "rate_limited", "Too many requests");
    case ErrorCode::kUnimplemented:
      return problem(501, "not_implemented", "This is not supported");
    case ErrorCode::kUnavailable:
      return problem(503, "unavailable", "Not available at the moment");
    case ErrorCode::kDeadlineExceeded:
      return problem(504, "timeout", "It took too long");
    case ErrorCode::kCancelled:
      return problem(kClientGone, "cancelled", "The request was cancelled");
    case ErrorCode::kInternal:
      break;
  }
  return problem(500, "internal", "Something went wrong inside the proxy");
}

Response ToResponse(const Problem& problem, const std::string& request_id) {
  nlohmann::ordered_json body;
  body["type"] = "about:blank";
  body["title"] = problem.title;
  body["status"] = problem.status;
  body["code"] = problem.code;
  body["detail"] = problem.detail;
  body["request_id"] = request_id;
  Response response;
  response.status = problem.status;
  response.content_type = "application/problem+json";
  // Details may quote what a client sent: bytes that aren't UTF-8 are replaced, not thrown on.
  response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (problem.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (problem.retry_after) {
    response.headers.emplace_back("Retry-After", std::to_string((problem.retry_after->count() + 999) / 1000));
  } else if (problem.status == 503) {
    response.headers.emplace_back("Retry-After", "5");
  }
  return response;
}

}  // namespace pondpilot::proxy::http
