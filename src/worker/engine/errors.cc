#include "worker/engine/errors.h"

#include <new>
#include <stdexcept>

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using duckdb::ExceptionType;

ErrorCode ToCode(ExceptionType type) {
  switch (type) {
    case ExceptionType::INTERRUPT:
      return ErrorCode::kCancelled;
    case ExceptionType::PERMISSION:
      return ErrorCode::kPermissionDenied;
    case ExceptionType::OUT_OF_MEMORY:
    case ExceptionType::OBJECT_SIZE:
      return ErrorCode::kResourceExhausted;
    case ExceptionType::NOT_IMPLEMENTED:
    case ExceptionType::MISSING_EXTENSION:
    case ExceptionType::AUTOLOAD:
      return ErrorCode::kUnimplemented;
    case ExceptionType::TRANSACTION:
    case ExceptionType::DEPENDENCY:
    case ExceptionType::RESOURCE_IN_USE:
      return ErrorCode::kFailedPrecondition;
    case ExceptionType::CONNECTION:
    case ExceptionType::NETWORK:
    case ExceptionType::HTTP:
    case ExceptionType::FATAL:
      return ErrorCode::kUnavailable;
    case ExceptionType::INTERNAL:
    case ExceptionType::NULL_POINTER:
    case ExceptionType::DATA_CORRUPTION:
      return ErrorCode::kInternal;
    case ExceptionType::IO:
      return ErrorCode::kUnavailable;
    default:
      return ErrorCode::kInvalidArgument;
  }
}

ErrorCode CatalogCode(const std::string& text) {
  if (text.contains("already exists")) return ErrorCode::kAlreadyExists;
  if (text.contains("does not exist") || text.contains("not in the catalog")) return ErrorCode::kNotFound;
  return ErrorCode::kInvalidArgument;
}

// One class of DuckDB's can mean several things; its text tells which.
ErrorCode ToCode(const duckdb::ErrorData& error) {
  const std::string& text = error.RawMessage();
  switch (error.Type()) {
    case ExceptionType::CATALOG:
      return CatalogCode(text);
    case ExceptionType::CONSTRAINT:
      return text.contains("uplicate key") ? ErrorCode::kAlreadyExists : ErrorCode::kInvalidArgument;
    case ExceptionType::TRANSACTION:
      // Running the transaction again may succeed.
      return text.contains("onflict") ? ErrorCode::kAborted : ErrorCode::kFailedPrecondition;
    default:
      return ToCode(error.Type());
  }
}

}  // namespace

base::Error ToError(const duckdb::ErrorData& error) {
  base::Error out;
  out.code = ToCode(error);
  out.message = error.Message();
  // Thrown inside as a plain std::bad_alloc when the data segment is at its limit.
  if (error.RawMessage().find("bad_alloc") != std::string::npos ||
      error.RawMessage().find("bad allocation") != std::string::npos) {
    out.code = ErrorCode::kResourceExhausted;
    out.message =
        "Out of Memory Error: the statement needs more memory than this worker has. Select fewer rows or "
        "columns, or "
        "build smaller values.";
  }
  // DuckDB's advice for what it finds missing is refused here.
  if (const size_t advice = out.message.find("Please try installing and loading");
      advice != std::string::npos) {
    out.message.erase(advice);
    out.message +=
        "Extensions can't be installed or loaded here, and functions that read files or pass SQL text on to "
        "a "
        "database are switched off: name the tables themselves, as in alias.schema.table.";
  }
  if (out.code == ErrorCode::kCancelled) out.message = "The statement was cancelled.";
  return out;
}

base::Error ToError(const std::exception& thrown) {
  // A request for more than a container can hold at all is the same to the caller.
  if (dynamic_cast<const std::length_error*>(&thrown) != nullptr) {
    return ToError(duckdb::ErrorData(std::bad_alloc()));
  }
  return ToError(duckdb::ErrorData(thrown));
}

}  // namespace pondpilot::worker::engine
