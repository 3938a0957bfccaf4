#include "worker/engine/errors.h"

#include <algorithm>
#include <array>
#include <new>
#include <stdexcept>
#include <string_view>

#include "telemetry/log.h"

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

// The drivers' words for a connection that was there and is there no more.
constexpr std::array<std::string_view, 9> kLostConnection = {
    "server closed the connection unexpectedly",
    "Lost connection to",
    "server has gone away",
    "terminating connection",
    "connection has been closed",
    "could not receive data from server",
    "could not send data to server",
    "no connection to the server",
    "Connection timed out",
};

bool LostDatabase(const duckdb::ErrorData& error) {
  switch (error.Type()) {
    case ExceptionType::IO:
    case ExceptionType::CONNECTION:
    case ExceptionType::NETWORK:
    case ExceptionType::TRANSACTION:
      break;
    default:
      return false;  // the words may be the user's own
  }
  return std::ranges::any_of(kLostConnection,
                             [&](std::string_view words) { return error.RawMessage().contains(words); });
}

// Behind what has gone wrong inside of it DuckDB shows where, with the addresses of its code: for the log,
// not for whoever sent the statement.
void HideStackTrace(base::Error& error) {
  constexpr std::string_view kHeading = "\nStack Trace:";
  const size_t at = error.message.find(kHeading);
  if (at == std::string::npos) return;
  telemetry::Log(telemetry::Level::kError, "DuckDB has failed inside",
                 {{"stack_trace", error.message.substr(at + kHeading.size())}});
  error.message.erase(error.message.find_last_not_of('\n', at) + 1);
}

}  // namespace

base::Error ToError(const duckdb::ErrorData& error) {
  base::Error out;
  if (LostDatabase(error)) {
    // The drivers' texts show the statements that DuckDB sends to the database.
    out.code = ErrorCode::kUnavailable;
    out.message =
        "IO Error: A database that this statement reads ended the connection or fell silent. Run the "
        "statement "
        "again, in a transaction after a ROLLBACK; the connection is made anew.";
    out.detail = error.RawMessage();
    return out;
  }
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
  HideStackTrace(out);
  return out;
}

base::Error ToError(const std::exception& thrown) {
  // A request for more than a container can hold at all is the same to the caller.
  if (dynamic_cast<const std::length_error*>(&thrown) != nullptr) {
    return ToError(duckdb::ErrorData(std::bad_alloc()));
  }
  return ToError(duckdb::ErrorData(thrown));
}

base::Error NoRoomToRun() {
  return {ErrorCode::kResourceExhausted,
          "Out of Memory Error: other statements of yours take all of this worker's memory. Try again when "
          "they have ended, or cancel them.",
          "",
          {}};
}

}  // namespace pondpilot::worker::engine
