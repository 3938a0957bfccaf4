#pragma once

#include <string_view>

#include "base/error.h"

namespace pondpilot::contract {

// The code of docs/http-api.md that a failed statement has, whether the proxy tells it or the worker, in a
// document that has begun.
constexpr std::string_view SqlProblemCode(base::ErrorCode code) {
  using base::ErrorCode;
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kAlreadyExists:
      return "sql_error";
    case ErrorCode::kFailedPrecondition:
    case ErrorCode::kAborted:
      return "conflict";
    case ErrorCode::kPermissionDenied:
      return "permission_denied";
    case ErrorCode::kResourceExhausted:
      return "resources_exhausted";
    case ErrorCode::kUnimplemented:
      return "not_implemented";
    case ErrorCode::kDeadlineExceeded:
      return "timeout";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kInternal:
      break;
  }
  return "internal";
}

}  // namespace pondpilot::contract
