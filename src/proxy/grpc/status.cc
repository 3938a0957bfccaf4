#include "proxy/grpc/status.h"

#include "contract/names.h"

namespace pondpilot::proxy::grpc {
namespace {

::grpc::StatusCode ToGrpcCode(base::ErrorCode code) {
  using base::ErrorCode;
  switch (code) {
    case ErrorCode::kCancelled:
      return ::grpc::StatusCode::CANCELLED;
    case ErrorCode::kInvalidArgument:
      return ::grpc::StatusCode::INVALID_ARGUMENT;
    case ErrorCode::kDeadlineExceeded:
      return ::grpc::StatusCode::DEADLINE_EXCEEDED;
    case ErrorCode::kNotFound:
      return ::grpc::StatusCode::NOT_FOUND;
    case ErrorCode::kAlreadyExists:
      return ::grpc::StatusCode::ALREADY_EXISTS;
    case ErrorCode::kPermissionDenied:
      return ::grpc::StatusCode::PERMISSION_DENIED;
    case ErrorCode::kResourceExhausted:
      return ::grpc::StatusCode::RESOURCE_EXHAUSTED;
    case ErrorCode::kFailedPrecondition:
      return ::grpc::StatusCode::FAILED_PRECONDITION;
    case ErrorCode::kAborted:
      return ::grpc::StatusCode::ABORTED;
    case ErrorCode::kUnimplemented:
      return ::grpc::StatusCode::UNIMPLEMENTED;
    case ErrorCode::kInternal:
      return ::grpc::StatusCode::INTERNAL;
    case ErrorCode::kUnavailable:
      return ::grpc::StatusCode::UNAVAILABLE;
    case ErrorCode::kUnauthenticated:
      return ::grpc::StatusCode::UNAUTHENTICATED;
  }
  return ::grpc::StatusCode::INTERNAL;
}

std::string_view Detail(const MetadataView& trailers) {
  bool repeated = false;
  const std::string_view detail = SingleValue(trailers, contract::kArrowDetailTrailer, &repeated);
  return repeated ? std::string_view() : detail;
}

}  // namespace

::grpc::Status ToGrpcStatus(const base::Error& error) { return {ToGrpcCode(error.code), error.message}; }

std::optional<::grpc::StatusCode> NamedCode(const MetadataView& trailers) {
  constexpr std::string_view kPrefix = contract::kErrorCodeDetail;
  const std::string_view detail = Detail(trailers);
  if (!detail.starts_with(kPrefix)) return std::nullopt;
  return base::ErrorCodeOf(detail.substr(kPrefix.size())).transform(ToGrpcCode);
}

std::string WithoutDetail(std::string message, const MetadataView& trailers) {
  // As TransportStatus::FromStatus of Arrow 25 writes it.
  const std::string suffix = ". Detail: " + std::string(Detail(trailers));
  if (message.ends_with(suffix)) message.resize(message.size() - suffix.size());
  return message;
}

}  // namespace pondpilot::proxy::grpc
