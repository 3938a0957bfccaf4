#include "proxy/grpc/status.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "contract/names.h"

namespace pondpilot::proxy::grpc {
namespace {

TEST(StatusTest, EveryCodeMapsToAStatusOfItsOwn) {
  std::set<int> codes;
  for (int code = 0; code <= static_cast<int>(base::ErrorCode::kUnauthenticated); ++code) {
    codes.insert(ToGrpcStatus({static_cast<base::ErrorCode>(code), "m", "d", {}}).error_code());
  }
  EXPECT_EQ(codes.size(), static_cast<size_t>(base::ErrorCode::kUnauthenticated) + 1);
  EXPECT_FALSE(codes.contains(::grpc::StatusCode::OK));
}

TEST(StatusTest, AWorkersNameOfACode) {
  const auto named = [](const std::string& key, const std::string& value) {
    return NamedCode({{::grpc::string_ref(key), ::grpc::string_ref(value)}});
  };
  const std::string key = contract::kArrowDetailTrailer;
  const std::string prefix = contract::kErrorCodeDetail;
  EXPECT_EQ(named(key, prefix + "resource_exhausted"), ::grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(named(key, prefix + "aborted"), ::grpc::StatusCode::ABORTED);
  for (const std::string& other : {std::string(), prefix, prefix + "nothing", std::string("errno 5")}) {
    EXPECT_EQ(named(key, other), std::nullopt) << other;
  }
  EXPECT_EQ(named("another", prefix + "aborted"), std::nullopt);
}

TEST(StatusTest, DetailStaysInside) {
  const ::grpc::Status status =
      ToGrpcStatus({base::ErrorCode::kUnavailable, "try again", "host 10.0.0.7", {}});
  EXPECT_EQ(status.error_message(), "try again");
  EXPECT_TRUE(status.error_details().empty());
}

}  // namespace
}  // namespace pondpilot::proxy::grpc
