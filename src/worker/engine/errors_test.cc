#include "worker/engine/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "telemetry/log.h"
#include "worker/engine/duckdb_engine.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ErrorsTest, ALostDatabaseIsNamedAsSuchWhateverItsDriverSays) {
  for (const char* text : {
           "Failed to fetch result row for MySQL query \"SELECT `id` FROM `shop`.`big`\": Lost connection to "
           "server during query",
           "Unable to read binary COPY data from Postgres: server closed the connection unexpectedly",
           "Failed to execute query \"COMMIT\": FATAL:  terminating connection due to administrator command",
       }) {
    const base::Error error = ToError(duckdb::IOException(text));
    EXPECT_EQ(error.code, ErrorCode::kUnavailable) << text;
    EXPECT_THAT(error.message, HasSubstr("ended the connection"));
    EXPECT_THAT(error.message, Not(HasSubstr("`id`"))) << "no statement that the user did not write";
    EXPECT_EQ(error.detail, text);
  }
  const base::Error commit = ToError(duckdb::TransactionException(
      "Failed to commit: Failed to execute query \"COMMIT\": server closed the connection unexpectedly"));
  EXPECT_EQ(commit.code, ErrorCode::kUnavailable);
}

TEST(ErrorsTest, TheSameWordsInAStatementAreTheUsersOwn) {
  const base::Error error =
      ToError(duckdb::InvalidInputException("Could not convert string 'Lost connection to' to INT32"));
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message, HasSubstr("Could not convert"));
}

TEST(ErrorsTest, WhereDuckDbHasFailedInsideIsForTheLogOnly) {
  static std::string logged;
  logged.clear();
  telemetry::SetSinkForTest([](const std::string& line) { logged += line; });
  // As DuckDB makes it itself, and inside another error's text.
  const base::Error error = ToError(duckdb::InternalException("Attempted to access index 7"));
  const base::Error wrapped = ToError(duckdb::FatalException(
      "Failed: database has been invalidated. Original error: \"INTERNAL Error: index 7\n\nStack Trace:\n\n"
      "0  duckdb::Exception::Exception(...) + 64 [0x7f00deadbeef]\""));
  telemetry::SetSinkForTest(nullptr);
  for (const base::Error& one : {error, wrapped}) {
    EXPECT_THAT(one.message, HasSubstr("index 7"));
    EXPECT_THAT(one.message, Not(HasSubstr("Stack Trace")));
    EXPECT_THAT(one.message, Not(HasSubstr("0x")));
  }
  EXPECT_EQ(wrapped.code, ErrorCode::kUnavailable);
  EXPECT_THAT(logged, HasSubstr("0x7f00deadbeef"));
}

// No statement is known that does this to DuckDB 2.0; earlier versions had some (its issue 21394, for one).
TEST(EngineHealth, ADatabaseThatHasBeenInvalidatedStaysUnhealthy) {
  const auto opened = Engine::Open({512ull << 20, 1, "/tmp"});
  ASSERT_TRUE(opened.has_value()) << opened.error().detail;
  auto* engine = dynamic_cast<DuckDbEngine*>(opened->get());
  ASSERT_NE(engine, nullptr);
  engine->NoteError({base::ErrorCode::kInvalidArgument, "Parser Error: syntax error", {}, {}});
  EXPECT_TRUE(engine->healthy());
  const duckdb::FatalException fatal(
      "Failed: database has been invalidated because of a previous fatal error. The database must be "
      "restarted prior to being used again.\nOriginal error: \"...\"");
  const base::Error error = ToError(fatal);
  EXPECT_EQ(error.code, base::ErrorCode::kUnavailable);
  engine->NoteError(error);
  EXPECT_FALSE(engine->healthy());
  engine->NoteError({base::ErrorCode::kNotFound, "Catalog Error: no such table", {}, {}});
  EXPECT_FALSE(engine->healthy());
}

}  // namespace
}  // namespace pondpilot::worker::engine
