#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <thread>

#include "worker/engine/engine_fixture.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(EngineTest, ServesNobodyBeforeItIsLocked) { EXPECT_FALSE(engine_->Connect().has_value()); }

TEST_F(EngineTest, AnswersAndStreams) {
  Lock();
  EXPECT_EQ(Cell("SELECT 42"), "42");
  auto stream = connection_->Execute("SELECT i FROM range(1000000) t(i)");
  ASSERT_TRUE(stream.has_value());
  int64_t rows = 0;
  for (;;) {
    auto batch = (*stream)->Next();
    ASSERT_TRUE(batch.has_value()) << batch.error().message;
    if (!*batch) break;
    EXPECT_LE((*batch)->num_rows(), static_cast<int64_t>(kBatchRows));
    rows += (*batch)->num_rows();
  }
  EXPECT_EQ(rows, 1'000'000);
}

TEST_F(EngineTest, TypesThatFlightSqlClientsCanRead) {
  Lock();
  const auto type = [&](const std::string& expression) {
    const auto table = Query("SELECT " + expression + " AS x");
    return table ? (*table)->schema()->field(0)->type()->ToString() : "error: " + table.error().message;
  };
  EXPECT_EQ(type("1::HUGEINT"), "decimal128(38, 0)");
  EXPECT_EQ(type("uuid()"), "string");
  EXPECT_EQ(type("'a'::ENUM('a','b')"), "string");
  EXPECT_EQ(type("['a'::ENUM('a','b'), NULL]"), "list<l: string>");
  EXPECT_EQ(type("'{}'::JSON"), "string");
  EXPECT_EQ(type("'12:00:00+01'::TIMETZ"), "time64[us]");
  EXPECT_EQ(type("'abc'"), "string");
  EXPECT_EQ(type("1.5::DECIMAL(9,2)"), "decimal128(9, 2)");
  EXPECT_EQ(type("now()"), "timestamp[us, tz=UTC]");
  EXPECT_EQ(Cell("SELECT x FROM (VALUES ('b'::ENUM('a','b')), (NULL)) t(x)"), "b");
}

TEST_F(EngineTest, EmptyResultsHaveTheirSchema) {
  Lock();
  const auto table = Query("SELECT 1 AS a, 'x' AS b WHERE false");
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ((*table)->num_rows(), 0);
  EXPECT_EQ((*table)->num_columns(), 2);
}

TEST_F(EngineTest, SeveralStatementsInOneText) {
  Lock();
  EXPECT_EQ(Cell("CREATE TABLE t(a INT); INSERT INTO t VALUES (1),(2); SELECT sum(a) FROM t;"), "3");
  EXPECT_EQ(Cell("INSERT INTO t VALUES (3),(4)"), "2");
  EXPECT_EQ(Cell("SELECT count(*) FROM t"), "4");
  EXPECT_EQ(Cell("-- a comment\nSELECT 7 -- another"), "7");
  // Nothing runs of a text that is refused in part.
  EXPECT_EQ(ErrorOf("INSERT INTO t VALUES (9); INSTALL httpfs").code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(Cell("SELECT count(*) FROM t"), "4");
}

TEST_F(EngineTest, StatementsThatExpandIntoSeveral) {
  Lock();
  const auto table = Query(
      "CREATE TABLE s(y INT, q TEXT, v INT); INSERT INTO s VALUES (1,'a',10),(1,'b',20); PIVOT s ON q USING "
      "sum(v)");
  ASSERT_TRUE(table.has_value()) << table.error().message;
  EXPECT_EQ((*table)->num_columns(), 3);
  EXPECT_EQ((*table)->num_rows(), 1);
}

TEST_F(EngineTest, AWriteIsDoneWhenItIsAnswered) {
  Lock();
  ASSERT_TRUE(Query("CREATE TABLE t(a INT)").has_value());
  ASSERT_TRUE(
      connection_->Execute("INSERT INTO t SELECT * FROM range(1000) RETURNING a").has_value());  // unread
  EXPECT_EQ(Cell("SELECT count(*) FROM t"), "1000");
}

TEST_F(EngineTest, ErrorsHaveTheirCodeAndDuckDbsText) {
  Lock();
  const base::Error syntax = ErrorOf("SELEC 1");
  EXPECT_EQ(syntax.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(syntax.message, HasSubstr("Parser Error"));
  EXPECT_THAT(syntax.message, HasSubstr("LINE 1"));
  const base::Error missing = ErrorOf("SELECT * FROM nothing_here");
  EXPECT_EQ(missing.code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.message, HasSubstr("nothing_here"));
  EXPECT_EQ(ErrorOf("SELECT 'x'::INT").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf("").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf("  ;; ").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf("-- nothing").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf("SELECT '\xff'").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf("SELECT $1").code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(engine_->healthy());
}

TEST_F(EngineTest, InterruptStopsWhatRuns) {
  Lock();
  std::thread interrupter;
  const auto started = std::chrono::steady_clock::now();
  std::atomic<bool> done{false};
  interrupter = std::thread([&] {
    while (!done.load()) {
      connection_->Interrupt();
      std::this_thread::yield();
    }
  });
  // A write runs to its end inside Execute. Of a SELECT Execute may have returned before the interrupt comes,
  // and what is read after that is Cancel's business.
  const auto result = Query(
      "CREATE TABLE t AS SELECT count(*) FROM range(10000000) a, range(10000000) b "
      "WHERE a.range % 7 = b.range % 11");
  done.store(true);
  interrupter.join();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(20));
  EXPECT_EQ(Cell("SELECT 42"), "42");
}

TEST_F(EngineTest, CancelStopsAStreamBetweenAndInsideReads) {
  Lock();
  auto stream = connection_->Execute("SELECT a.range FROM range(10000000) a, range(10000000) b");
  ASSERT_TRUE(stream.has_value());
  ASSERT_TRUE((*stream)->Next().has_value());
  (*stream)->Cancel();
  const auto next = (*stream)->Next();
  ASSERT_FALSE(next.has_value());
  EXPECT_EQ(next.error().code, ErrorCode::kCancelled);
  stream->reset();
  EXPECT_EQ(Cell("SELECT 42"), "42");
  // A cancel that comes late hits nobody.
  auto finished = connection_->Execute("SELECT 1");
  ASSERT_TRUE(finished.has_value());
  while (*(*finished)->Next()) {
  }
  (*finished)->Cancel();
  EXPECT_EQ(Cell("SELECT 43"), "43");
}

TEST_F(EngineTest, ErrorsOfOneClassAreToldApart) {
  Lock();
  ASSERT_TRUE(Query("CREATE TABLE u(a INT UNIQUE, b INT NOT NULL); INSERT INTO u VALUES (1, 1)").has_value());
  EXPECT_EQ(ErrorOf("CREATE TABLE u(a INT)").code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(ErrorOf("INSERT INTO u VALUES (1, 1)").code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(ErrorOf("INSERT INTO u VALUES (2, NULL)").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf("DROP TABLE nothing_here").code, ErrorCode::kNotFound);
}

TEST_F(EngineTest, EnumsAreTextWhateverTheClientsSettings) {
  Lock();
  constexpr char kEnums[] = "SELECT x FROM (VALUES ('b'::ENUM('a','b')), (NULL)) t(x)";
  for (const char* setting : {"arrow_large_buffer_size", "produce_arrow_string_view"}) {
    ASSERT_TRUE(Query(std::string("SET ") + setting + " = true").has_value()) << setting;
    const auto table = Query(kEnums);
    ASSERT_TRUE(table.has_value()) << setting << table.error().message;
    EXPECT_EQ((*table)->schema()->field(0)->type()->ToString(), "string") << setting;
    EXPECT_EQ(Cell(kEnums), "b") << setting;
    ASSERT_TRUE(Query(std::string("RESET ") + setting).has_value()) << setting;
  }
}

TEST_F(EngineTest, StateOfAConnection) {
  Lock();
  EXPECT_FALSE(connection_->HasState());
  ASSERT_TRUE(Query("SELECT 1").has_value());
  ASSERT_TRUE(Query("CREATE TABLE shared(a INT)").has_value());
  EXPECT_FALSE(connection_->HasState());
  ASSERT_TRUE(Query("BEGIN").has_value());
  EXPECT_TRUE(connection_->InTransaction());
  ASSERT_TRUE(Query("ROLLBACK").has_value());
  EXPECT_FALSE(connection_->InTransaction());
  auto other = std::move(*engine_->Connect());
  EXPECT_FALSE(other->HasState());
  ASSERT_TRUE(other->Execute("CREATE TEMP TABLE mine(a INT)").has_value());
  EXPECT_TRUE(other->HasState());
}

TEST_F(EngineTest, AttachesSqliteReadOnlyAndExplainsWhatIsMissing) {
  const std::string path = folder_ + "/shop.db";
  sqlite3* file = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &file), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(file, "CREATE TABLE items(name TEXT); INSERT INTO items VALUES ('duck')", nullptr,
                         nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(file);
  Attachment shop{.alias = "shop",
                  .kind = Attachment::Kind::kSqlite,
                  .server = {},
                  .sqlite_path = path,
                  .unavailable_reason = {}};
  Attachment gone{.alias = "gone",
                  .kind = Attachment::Kind::kSqlite,
                  .server = {},
                  .sqlite_path = folder_ + "/no.db",
                  .unavailable_reason = {}};
  Attachment unset{.alias = "mydb",
                   .kind = Attachment::Kind::kUnavailable,
                   .server = {},
                   .sqlite_path = {},
                   .unavailable_reason = "DATABASE_URL is not set"};
  Lock({shop, gone, unset});
  EXPECT_EQ(Cell("SELECT name FROM shop.items"), "duck");
  EXPECT_FALSE(Query("INSERT INTO shop.items VALUES ('goose')").has_value());
  const base::Error missing = ErrorOf("SELECT * FROM mydb.public.users");
  EXPECT_EQ(missing.code, ErrorCode::kUnavailable);
  EXPECT_THAT(missing.message, HasSubstr("\"mydb\" is not available: DATABASE_URL is not set."));
  EXPECT_THAT(ErrorOf("SELECT * FROM GONE.t").message, HasSubstr("does not exist in the worker"));
  EXPECT_THAT(ErrorOf("SELECT * FROM begone").message, Not(HasSubstr("not available")));
}

TEST_F(EngineTest, AServerThatIsNotThereCostsOnlyItsOwnQueries) {
  Attachment down{.alias = "pg",
                  .kind = Attachment::Kind::kPostgres,
                  .server = {},
                  .sqlite_path = {},
                  .unavailable_reason = {}};
  down.server = {"127.0.0.1", 1, "db", "user", base::Secret("a-very-secret-password"), {}};
  Lock({down});
  EXPECT_EQ(Cell("SELECT 42"), "42");
  const base::Error error = ErrorOf("SELECT * FROM pg.public.users");
  EXPECT_THAT(error.message, HasSubstr("nothing listens at its address"));
  EXPECT_THAT(error.message, HasSubstr("host.docker.internal"));
  EXPECT_THAT(error.message, Not(HasSubstr("a-very-secret-password")));
}

TEST_F(EngineTest, BufferBytesFollowWhatIsKept) {
  Lock();
  const uint64_t before = engine_->BufferBytes();
  ASSERT_TRUE(Query("CREATE TABLE kept AS SELECT hash(range) AS h FROM range(5000000)").has_value());
  EXPECT_GE(engine_->BufferBytes(), before + (16u << 20));
  ASSERT_TRUE(Query("DROP TABLE kept").has_value());
  EXPECT_LT(engine_->BufferBytes(), before + (8u << 20));
}

}  // namespace
}  // namespace pondpilot::worker::engine
