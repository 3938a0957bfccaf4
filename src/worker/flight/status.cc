#include "worker/flight/status.h"

#include <arrow/flight/types.h>

namespace pondpilot::worker::flight {

arrow::Status ToArrowStatus(const base::Error& error) {
  using arrow::flight::FlightStatusCode;
  using base::ErrorCode;
  const auto flight = [&](FlightStatusCode code) {
    return arrow::flight::MakeFlightError(code, error.message);
  };
  switch (error.code) {
    case ErrorCode::kCancelled:
      return flight(FlightStatusCode::Cancelled);
    case ErrorCode::kInvalidArgument:
      return arrow::Status::Invalid(error.message);
    case ErrorCode::kDeadlineExceeded:
      return flight(FlightStatusCode::TimedOut);
    case ErrorCode::kNotFound:
      return arrow::Status::KeyError(error.message);
    case ErrorCode::kAlreadyExists:
      return arrow::Status::AlreadyExists(error.message);
    case ErrorCode::kPermissionDenied:
      return flight(FlightStatusCode::Unauthorized);
    case ErrorCode::kResourceExhausted:
      return arrow::Status::OutOfMemory(error.message);
    case ErrorCode::kFailedPrecondition:
    case ErrorCode::kAborted:
      return arrow::Status::Invalid(error.message);
    case ErrorCode::kUnimplemented:
      return arrow::Status::NotImplemented(error.message);
    case ErrorCode::kUnavailable:
      return flight(FlightStatusCode::Unavailable);
    case ErrorCode::kUnauthenticated:
      return flight(FlightStatusCode::Unauthenticated);
    case ErrorCode::kInternal:
      break;
  }
  return flight(FlightStatusCode::Internal);
}

}  // namespace pondpilot::worker::flight
