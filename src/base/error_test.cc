#include "base/error.h"

#include <gtest/gtest.h>

#include <set>

namespace pondpilot::base {
namespace {

TEST(ErrorTest, EveryCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::kUnauthenticated); ++code) {
    names.insert(ToString(static_cast<ErrorCode>(code)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(ErrorCode::kUnauthenticated) + 1);
}

TEST(ErrorTest, NamesLeadBackToTheirCodes) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::kUnauthenticated); ++code) {
    EXPECT_EQ(ErrorCodeOf(ToString(static_cast<ErrorCode>(code))), static_cast<ErrorCode>(code));
  }
  EXPECT_EQ(ErrorCodeOf(""), std::nullopt);
  EXPECT_EQ(ErrorCodeOf("Aborted"), std::nullopt);
}

TEST(ErrorTest, FailCarriesCodeMessageAndDetail) {
  Result<int> result = Fail(ErrorCode::kNotFound, "no such thing", "looked in a box");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(result.error().message, "no such thing");
  EXPECT_EQ(result.error().detail, "looked in a box");
  EXPECT_FALSE(result.error().retry_after.has_value());
}

}  // namespace
}  // namespace pondpilot::base
