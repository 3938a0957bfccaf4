#include "proxy/sql/problems.h"

#include "contract/sql_codes.h"

namespace pondpilot::proxy::sql {

base::Error ErrorOf(const pondpilot::sql::v1::Failure& failure) {
  base::Error error;
  error.code = base::ErrorCodeOf(failure.code()).value_or(base::ErrorCode::kInternal);
  error.message = failure.message();
  return error;
}

http::Problem StatementProblem(const base::Error& error) {
  using base::ErrorCode;
  const auto problem = [&error](unsigned status, const char* title) {
    return http::Problem{status, std::string(contract::SqlProblemCode(error.code)), title, error.message,
                         error.retry_after};
  };
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kAlreadyExists:
      return problem(400, "The statement failed");
    case ErrorCode::kFailedPrecondition:
    case ErrorCode::kAborted:
      return problem(409, "The statement does not fit the current state");
    case ErrorCode::kCancelled:
      return problem(409, "The statement was cancelled");
    case ErrorCode::kResourceExhausted:
      return problem(422, "The statement needs more than the worker has");
    default:
      return http::ToProblem(error);
  }
}

}  // namespace pondpilot::proxy::sql
