#include "worker/flight/status.h"

#include <arrow/flight/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "contract/names.h"

namespace pondpilot::worker::flight {
namespace {

// What a byte takes in the trailers: percent-encoded in gRPC's own message when it isn't printable ASCII, and
// as base64 in Flight's copy.
size_t EncodedBytes(char c) {
  const bool plain = c >= ' ' && c <= '~' && c != '%';
  return (plain ? 1 : 3) + 2;
}

bool ContinuesCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// A DuckDB message can hold a whole value or statement. What went wrong stands at its beginning, where it
// went wrong at its end.
std::string Bounded(const std::string& message) {
  constexpr std::string_view kCut = " [...] ";
  size_t encoded = 0;
  for (const char c : message) encoded += EncodedBytes(c);
  if (encoded <= kMaxEncodedMessageBytes) return message;
  const size_t share = (kMaxEncodedMessageBytes - kCut.size() * 3) / 2;
  size_t head = 0;
  for (size_t used = 0; (used += EncodedBytes(message[head])) <= share;) ++head;
  while (head > 0 && ContinuesCharacter(message[head])) --head;
  size_t tail = message.size();
  for (size_t used = 0; (used += EncodedBytes(message[tail - 1])) <= share;) --tail;
  while (tail < message.size() && ContinuesCharacter(message[tail])) ++tail;
  return message.substr(0, head).append(kCut).append(message, tail);
}

// Carries the code that Flight has not.
class CodeDetail final : public arrow::StatusDetail {
 public:
  explicit CodeDetail(base::ErrorCode code) : code_(code) {}
  const char* type_id() const override { return "pondpilot::ErrorCode"; }
  std::string ToString() const override {
    return std::string(contract::kErrorCodeDetail).append(base::ToString(code_));
  }

 private:
  base::ErrorCode code_;
};

}  // namespace

arrow::Status ToArrowStatus(const base::Error& error) {
  using arrow::flight::FlightStatusCode;
  using base::ErrorCode;
  const std::string message = Bounded(error.message);
  const auto flight = [&](FlightStatusCode code) { return arrow::flight::MakeFlightError(code, message); };
  switch (error.code) {
    case ErrorCode::kCancelled:
      return flight(FlightStatusCode::Cancelled);
    case ErrorCode::kInvalidArgument:
      return arrow::Status::Invalid(message);
    case ErrorCode::kDeadlineExceeded:
      return flight(FlightStatusCode::TimedOut);
    case ErrorCode::kNotFound:
      return arrow::Status::KeyError(message);
    case ErrorCode::kAlreadyExists:
      return arrow::Status::AlreadyExists(message);
    case ErrorCode::kPermissionDenied:
      return flight(FlightStatusCode::Unauthorized);
    case ErrorCode::kResourceExhausted:
      return {arrow::StatusCode::OutOfMemory, message, std::make_shared<CodeDetail>(error.code)};
    case ErrorCode::kFailedPrecondition:
    case ErrorCode::kAborted:
      return {arrow::StatusCode::Invalid, message, std::make_shared<CodeDetail>(error.code)};
    case ErrorCode::kUnimplemented:
      return arrow::Status::NotImplemented(message);
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
