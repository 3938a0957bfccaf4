#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace pondpilot::base {

// The closed list of what can go wrong. Each code maps to one gRPC status, one HTTP status and one Arrow
// status in the adapters; no other list of codes exists in the project.
enum class ErrorCode {
  kCancelled,
  kInvalidArgument,
  kDeadlineExceeded,
  kNotFound,
  kAlreadyExists,
  kPermissionDenied,
  kResourceExhausted,
  kFailedPrecondition,
  kAborted,
  kUnimplemented,
  kInternal,
  kUnavailable,
  kUnauthenticated,
};

// Lower-case name with underscores, for logs and metric labels ("resource_exhausted").
std::string_view ToString(ErrorCode code);

// The code of such a name; nullopt for any other text.
std::optional<ErrorCode> ErrorCodeOf(std::string_view name);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  // For the caller: what failed, on which value, what to do. Never a secret, never the inside of the system.
  std::string message;
  // For the operator's log only; may name hosts and paths, never a secret.
  std::string detail;
  // When trying again may help: how long to wait first.
  std::optional<std::chrono::milliseconds> retry_after;
};

template <typename T>
using Result = std::expected<T, Error>;

// Shorthand for returning an Error from a function that returns Result<T>.
inline std::unexpected<Error> Fail(ErrorCode code, std::string message, std::string detail = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(detail), std::nullopt});
}

}  // namespace pondpilot::base
