#include "worker/flight/status.h"

#include <arrow/flight/api.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "worker/flight/raw_call.h"

namespace pondpilot::worker::flight {
namespace {

using base::ErrorCode;

// Answers every GetFlightInfo with the error whose number is the command.
class Failing final : public arrow::flight::FlightServerBase {
 public:
  arrow::Status GetFlightInfo(const arrow::flight::ServerCallContext&,
                              const arrow::flight::FlightDescriptor& descriptor,
                              std::unique_ptr<arrow::flight::FlightInfo>*) override {
    return ToArrowStatus(
        {static_cast<ErrorCode>(std::stoi(descriptor.cmd)), "What to do.", "inside of the system", {}});
  }
};

TEST(Status, EachCodeIsTheGrpcStatusThatBelongsToIt) {
  Failing server;
  ASSERT_TRUE(
      server.Init(arrow::flight::FlightServerOptions(*arrow::flight::Location::ForGrpcTcp("127.0.0.1", 0)))
          .ok());
  std::thread thread([&] { (void)server.Serve(); });
  using enum grpc::StatusCode;
  const std::pair<ErrorCode, grpc::StatusCode> kCases[] = {
      {ErrorCode::kCancelled, CANCELLED},
      {ErrorCode::kInvalidArgument, INVALID_ARGUMENT},
      {ErrorCode::kDeadlineExceeded, DEADLINE_EXCEEDED},
      {ErrorCode::kNotFound, NOT_FOUND},
      {ErrorCode::kAlreadyExists, ALREADY_EXISTS},
      {ErrorCode::kPermissionDenied, PERMISSION_DENIED},
      {ErrorCode::kUnimplemented, UNIMPLEMENTED},
      {ErrorCode::kInternal, INTERNAL},
      {ErrorCode::kUnavailable, UNAVAILABLE},
      {ErrorCode::kUnauthenticated, UNAUTHENTICATED},
      // Arrow has no code for these: the proxy reads the name.
      {ErrorCode::kFailedPrecondition, INVALID_ARGUMENT},
      {ErrorCode::kAborted, INVALID_ARGUMENT},
      {ErrorCode::kResourceExhausted, UNKNOWN},
  };
  for (const auto& [code, expected] : kCases) {
    const auto answer = RawCall("127.0.0.1:" + std::to_string(server.port()), "", "GetFlightInfo",
                                std::to_string(static_cast<int>(code)));
    EXPECT_EQ(answer.status.error_code(), expected)
        << base::ToString(code) << ": " << answer.status.error_message();
    const bool flight_has_it = code != ErrorCode::kFailedPrecondition && code != ErrorCode::kAborted &&
                               code != ErrorCode::kResourceExhausted;
    EXPECT_EQ(answer.arrow_detail == contract::kErrorCodeDetail + std::string(base::ToString(code)),
              !flight_has_it)
        << answer.arrow_detail;
    EXPECT_EQ(answer.status.error_message().find("inside"), std::string::npos)
        << answer.status.error_message();
    // The proxy takes off what Arrow adds.
    std::string message = answer.status.error_message();
    const std::string added = ". Detail: " + answer.arrow_detail;
    if (message.ends_with(added)) message.resize(message.size() - added.size());
    EXPECT_EQ(message, "What to do.");
  }
  EXPECT_TRUE(server.Shutdown().ok());
  thread.join();
}

}  // namespace
}  // namespace pondpilot::worker::flight
