#include "worker/session/time_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "worker/session/eventually.h"
#include "worker/session/fake_engine.h"
#include "worker/session/statement_runner.h"

namespace pondpilot::worker::session {
namespace {

using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class TimeLimitTest : public testing::Test {
 protected:
  using Ran = base::Result<std::shared_ptr<OpenResult>>;

  Ran Run(std::string_view sql, CallWatch::Gone gone = [] { return false; }) {
    return runner_.Execute({"a", std::move(gone), base::Clock::System().Now() + seconds(20)}, sql);
  }
  static void ExpectTimeUp(const base::Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kDeadlineExceeded) << error.message;
    EXPECT_THAT(error.message, HasSubstr("longer than 50 ms"));
    EXPECT_THAT(error.message, HasSubstr("duckdb.statement_timeout"));
  }

  FakeEngine engine_;
  StatementRunner runner_{engine_, base::Clock::System()};
};

TEST_F(TimeLimitTest, EndsAStatementThatRuns) {
  runner_.SetStatementTimeout(milliseconds(50));
  const Ran ran = Run("block");
  ASSERT_FALSE(ran);
  ExpectTimeUp(ran.error());
}

TEST_F(TimeLimitTest, EndsAStatementWhoseFirstRowsDoNotCome) {
  runner_.SetStatementTimeout(milliseconds(50));
  const Ran ran = Run("stall");
  ASSERT_FALSE(ran);
  ExpectTimeUp(ran.error());
}

TEST_F(TimeLimitTest, EndsAResultThatIsBeingReadOrWaitsToBe) {
  runner_.SetStatementTimeout(milliseconds(50));
  const Ran ran = Run("rows 100000000");
  ASSERT_TRUE(ran) << ran.error().message;
  base::Error error;
  EXPECT_TRUE(Eventually([&] {
    const auto batch = (*ran)->Next();
    if (!batch) error = batch.error();
    return !batch;
  }));
  ExpectTimeUp(error);
}

TEST_F(TimeLimitTest, AResultThatIsWholeStaysReadable) {
  runner_.SetStatementTimeout(milliseconds(50));
  const Ran ran = Run("rows 3");
  ASSERT_TRUE(ran);
  std::this_thread::sleep_for(milliseconds(100));  // longer than the limit
  const auto batch = (*ran)->Next();
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_EQ((*batch)->num_rows(), 3);
}

TEST_F(TimeLimitTest, ACallerWhoLeftSoonerIsToldSo) {
  runner_.SetStatementTimeout(seconds(20));
  const Ran ran = Run("block", [] { return true; });
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, ErrorCode::kCancelled);
}

TEST_F(TimeLimitTest, OtherErrorsStayWhatTheyAre) {
  runner_.SetStatementTimeout(milliseconds(50));
  const Ran ran = Run("fail Parser Error: near x");
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(TimeLimitTest, NoneLimitsNothing) {
  TimeLimit none(base::Clock::System(), milliseconds(0));
  EXPECT_FALSE(none.exists());
  EXPECT_FALSE(none.Check());
  EXPECT_EQ(none.Explain({ErrorCode::kCancelled, "gone", "", {}}).code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace pondpilot::worker::session
