// Statements with parameters: what is said of them, and values from Arrow.
#include <arrow/api.h>
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>

#include "worker/engine/engine_fixture.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using testing::HasSubstr;

class Parameters : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    Lock();
  }

  static ParameterRows Rows(const arrow::FieldVector& fields, const std::vector<std::string>& columns) {
    arrow::ArrayVector arrays;
    for (size_t i = 0; i < fields.size(); ++i)
      arrays.push_back(*arrow::json::ArrayFromJSONString(fields[i]->type(), columns[i]));
    const auto schema = arrow::schema(fields);
    return {schema, {arrow::RecordBatch::Make(schema, arrays[0]->length(), arrays)}};
  }
  static ParameterRows One(const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
    return Rows({arrow::field("p", type)}, {json});
  }

  // The rows of a statement, one per line; its error's text when there is one.
  std::string Run(const std::string& sql, const ParameterRows& values) {
    auto stream = connection_->ExecuteWith(sql, values);
    if (!stream) return "error: " + stream.error().message;
    std::string text;
    for (;;) {
      auto batch = (*stream)->Next();
      if (!batch) return "error: " + batch.error().message;
      if (!*batch) return text;
      for (int64_t row = 0; row < (*batch)->num_rows(); ++row) {
        for (int c = 0; c < (*batch)->num_columns(); ++c)
          text += (c == 0 ? "" : "|") + (*(*batch)->column(c)->GetScalar(row))->ToString();
        text += "\n";
      }
    }
  }
  base::Error Failure(const std::string& sql, const ParameterRows& values) {
    auto stream = connection_->ExecuteWith(sql, values);
    EXPECT_FALSE(stream.has_value()) << sql;
    return stream ? base::Error{} : stream.error();
  }
  std::string Described(const std::string& sql) {
    const auto description = connection_->Describe(sql);
    if (!description) return "error: " + description.error().message;
    std::string text;
    for (const auto& field : description->parameters->fields())
      text += field->name() + " " + field->type()->ToString() + ", ";
    text += "->";
    if (description->rows == nullptr) return text;
    for (const auto& field : description->rows->fields())
      text += " " + field->name() + " " + field->type()->ToString();
    return text;
  }
};

TEST_F(Parameters, AreDescribedAsWellAsDuckDbKnows) {
  ASSERT_TRUE(Query("CREATE TABLE t(a INTEGER, b VARCHAR, c DECIMAL(9,2), d TIMESTAMPTZ, e ENUM('x','y'))"));
  EXPECT_EQ(Described("SELECT a, b FROM t WHERE a = ? AND c > ?"),
            "1 int32, 2 decimal128(9, 2), -> a int32 b string");
  EXPECT_EQ(Described("INSERT INTO t VALUES (?, ?, ?, ?, ?)"),
            "1 int32, 2 string, 3 decimal128(9, 2), 4 timestamp[ms, tz=UTC], 5 string, ->");
  EXPECT_EQ(Described("UPDATE t SET a = $x WHERE b = $y"), "x int32, y string, ->");
  EXPECT_EQ(Described("SELECT ? AS v"), "1 string, -> v string");
  EXPECT_EQ(Described("SELECT ?, upper(?), * FROM (SELECT a FROM t WHERE a = ?)"),
            "1 string, 2 string, 3 int32, -> $1 string upper($2) string a int32");
  EXPECT_EQ(Described("SELECT $1 + $2 + $1::BIGINT AS v").substr(0, 2), "1 ");
  EXPECT_EQ(Described("SELECT 1 AS a, 2 AS a -- end"), "-> a int32 a int32");
  EXPECT_EQ(Described("CREATE TABLE u(a INT)"), "->");
  EXPECT_EQ(Described("INSERT INTO t(a) VALUES (1) RETURNING a"), "-> a int32");
  EXPECT_EQ(Described("SELECT 1; SELECT 2"), "->");
  EXPECT_THAT(Described("SELECT 1; SELECT ?"), HasSubstr("several statements"));
  EXPECT_THAT(Described("SELECT nothing FROM t"), HasSubstr("nothing"));
  EXPECT_THAT(Described("COPY t TO '/tmp/x.csv'"), HasSubstr("Permission"));
  EXPECT_THAT(Described(" ;"), HasSubstr("holds no statement"));
  EXPECT_EQ(Cell("SELECT count(*) FROM t"), "0");
}

TEST_F(Parameters, PivotsAndStatementsThatExpandAreDescribed) {
  ASSERT_TRUE(
      Query("CREATE TABLE sales(city VARCHAR, year INT, n INT); INSERT INTO sales VALUES ('A', 2024, 1), "
            "('A', 2025, 2)"));
  EXPECT_EQ(Described("PIVOT sales ON year USING sum(n);"),
            "-> city string 2024 decimal128(38, 0) 2025 decimal128(38, 0)");
  EXPECT_EQ(Described("SHOW TABLES"), "-> name string");
  EXPECT_THAT(Described("EXPLAIN SELECT 1"), HasSubstr("explain_key"));
  EXPECT_THAT(Described("DESCRIBE sales"), HasSubstr("column_name"));
  EXPECT_THAT(Described("PRAGMA table_info('sales')"), HasSubstr("cid"));
  EXPECT_THAT(Described("SUMMARIZE sales"), HasSubstr("column_name"));
  EXPECT_EQ(Described("SET TimeZone = 'UTC'"), "->");
  EXPECT_EQ(Described("BEGIN"), "->");
  EXPECT_EQ(Described("PREPARE q AS SELECT $1::INT AS a"), "->");
}

TEST_F(Parameters, KeepTheirTypes) {
  const auto type = [&](const std::shared_ptr<arrow::DataType>& arrow, const std::string& json) {
    return Run("SELECT typeof($1), $1", One(arrow, json));
  };
  EXPECT_EQ(type(arrow::int64(), "[42]"), "BIGINT|42\n");
  EXPECT_EQ(type(arrow::int8(), "[null]"), "TINYINT|null\n");
  EXPECT_EQ(type(arrow::utf8(), "[\"null\"]"), "VARCHAR|null\n");
  EXPECT_EQ(Run("SELECT $1 IS NULL", One(arrow::utf8(), "[null]")), "true\n");
  EXPECT_EQ(Run("SELECT $1 IS NULL", One(arrow::utf8(), "[\"null\"]")), "false\n");
  EXPECT_EQ(Run("SELECT $1 IS NULL", One(arrow::null(), "[null]")), "true\n");
  EXPECT_EQ(type(arrow::decimal128(9, 2), "[\"1234567.89\"]"), "DECIMAL(9,2)|1234567.89\n");
  EXPECT_EQ(type(arrow::date32(), "[18262]"), "DATE|2020-01-01\n");
  EXPECT_EQ(type(arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"), "[0]"),
            "TIMESTAMP WITH TIME ZONE|1970-01-01 00:00:00.000000Z\n");
  EXPECT_EQ(type(arrow::list(arrow::int32()), "[[1, null, 3]]"), "INTEGER[]|list<l: int32>[1, null, 3]\n");
  EXPECT_EQ(type(arrow::dictionary(arrow::int8(), arrow::utf8()), "[\"word\"]"), "VARCHAR|word\n");
  EXPECT_EQ(type(arrow::large_utf8(), "[\"wide\"]"), "VARCHAR|wide\n");
  EXPECT_EQ(type(arrow::utf8_view(), "[\"a text that is longer than a view\"]"),
            "VARCHAR|a text that is longer than a view\n");
  EXPECT_EQ(Run("SELECT struct_extract($1, 'a') + struct_extract($1, 'b')",
                One(arrow::struct_({arrow::field("a", arrow::int32()), arrow::field("b", arrow::int32())}),
                    "[[1, 2]]")),
            "3\n");
}

TEST_F(Parameters, TextBindsToWhatIsExpected) {
  ASSERT_TRUE(Query("CREATE TABLE days(d DATE); INSERT INTO days VALUES ('2024-02-29')"));
  EXPECT_EQ(Run("SELECT count(*) FROM days WHERE d = ?", One(arrow::utf8(), "[\"2024-02-29\"]")), "1\n");
  EXPECT_THAT(Run("SELECT count(*) FROM days WHERE d = ?", One(arrow::utf8(), "[\"no date\"]")),
              HasSubstr("no date"));
}

// A statement that runs again is not planned again; what it meant then must not outlive what it means now.
TEST_F(Parameters, AStatementThatRunsAgainSeesWhatHasChanged) {
  const auto one = [&](const std::string& sql, const std::string& json = "[1]") {
    return Run(sql, One(arrow::int64(), json));
  };
  auto other = std::move(*engine_->Connect());
  const auto elsewhere = [&](const std::string& sql) {
    auto result = other->Execute(sql);
    ASSERT_TRUE(result) << result.error().message;
    while (std::move(*(*result)->Next()) != nullptr) {
    }
  };
  ASSERT_TRUE(Query("CREATE TABLE t(x BIGINT, y BIGINT NOT NULL)"));
  const std::string all = "SELECT count(*), min(x), max(x) FROM t WHERE $1 = 1";
  const std::string few = "SELECT x FROM t WHERE x > 5 AND x < 1000 AND $1 = 1 ORDER BY x";
  const std::string nulls = "SELECT count(*) FROM t WHERE x IS NULL AND $1 = 1";
  const std::string rest = "SELECT * FROM t WHERE y = ?";
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(one(all), "0|null|null\n");
    EXPECT_EQ(one(few), "");
    EXPECT_EQ(one(nulls), "0\n");
    EXPECT_EQ(one(rest), "");
  }
  EXPECT_EQ(Cell("SELECT count(*) FROM duckdb_prepared_statements()"), "4") << "they are kept";
  elsewhere("INSERT INTO t VALUES (1, 1), (7, 2), (NULL, 3), (100, 4)");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(one(all), "4|1|100\n");
    EXPECT_EQ(one(few), "7\n100\n");
    EXPECT_EQ(one(nulls), "1\n");
    EXPECT_EQ(one(rest), "1|1\n");
  }
  elsewhere("INSERT INTO t VALUES (5000, -1)");
  EXPECT_EQ(one(few), "7\n100\n");
  EXPECT_EQ(one(all), "5|1|5000\n");
  elsewhere("ALTER TABLE t ADD COLUMN z INTEGER DEFAULT 3");
  EXPECT_EQ(one(rest), "1|1|3\n");
  elsewhere("DROP TABLE t");
  EXPECT_THAT(one(rest), HasSubstr("t does not exist"));
  elsewhere("CREATE TABLE t(y BIGINT); INSERT INTO t VALUES (1)");
  EXPECT_EQ(one(rest), "1\n");
}

TEST_F(Parameters, AStatementThatRunsAgainFollowsNamesAndSettings) {
  const std::string sql = "SELECT a, $1::BIGINT FROM t";
  const auto one = [&] { return Run(sql, One(arrow::int64(), "[1]")); };
  ASSERT_TRUE(
      Query("CREATE TABLE t AS SELECT 'main' AS a; CREATE SCHEMA other;"
            "CREATE TABLE other.t AS SELECT 'other' AS a"));
  EXPECT_EQ(one(), "main|1\n");
  EXPECT_EQ(Cell("SELECT count(*) FROM duckdb_prepared_statements()"), "1") << "it is kept";
  ASSERT_TRUE(Query("USE other"));
  EXPECT_EQ(one(), "other|1\n");
  ASSERT_TRUE(Query("CREATE TEMP TABLE t AS SELECT 'temporary' AS a"));
  EXPECT_EQ(one(), "temporary|1\n");
  ASSERT_TRUE(Query("DROP TABLE temp.t"));
  EXPECT_EQ(one(), "other|1\n");
  ASSERT_TRUE(Query("BEGIN; ALTER TABLE t RENAME a TO b"));
  EXPECT_THAT(one(), HasSubstr("\"a\" not found"));
  ASSERT_TRUE(Query("ROLLBACK"));
  EXPECT_EQ(one(), "other|1\n");

  ASSERT_TRUE(Query("SET VARIABLE v = 1"));
  const auto variable = [&] {
    return Run("SELECT getvariable('v'), $1::BIGINT", One(arrow::int64(), "[2]"));
  };
  EXPECT_EQ(variable(), "1|2\n");
  ASSERT_TRUE(Query("SET VARIABLE v = 5"));
  EXPECT_EQ(variable(), "5|2\n");
  // A tenant may take away what is kept.
  ASSERT_TRUE(Query("PREPARE mine AS SELECT 1"));
  EXPECT_EQ(variable(), "5|2\n");
  ASSERT_TRUE(Query("DEALLOCATE mine"));
  EXPECT_EQ(variable(), "5|2\n");
  EXPECT_NE(Run("SELECT now(), $1::BIGINT", One(arrow::int64(), "[2]")),
            Run("SELECT now(), $1::BIGINT", One(arrow::int64(), "[2]")));
}

TEST_F(Parameters, AFewStatementsAreKept) {
  const auto kept = [&] { return std::stoi(Cell("SELECT count(*) FROM duckdb_prepared_statements()")); };
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(Run("SELECT $1::BIGINT + " + std::to_string(i), One(arrow::int64(), "[1]")),
              std::to_string(1 + i) + "\n");
  }
  EXPECT_EQ(kept(), 16);
  EXPECT_EQ(Run("SELECT $1::BIGINT + 39", One(arrow::int64(), "[1]")), "40\n");
  EXPECT_EQ(kept(), 16);
  ASSERT_TRUE(Query("SET TimeZone = 'UTC'"));
  EXPECT_EQ(kept(), 0);
  // One that fails is not.
  EXPECT_THAT(Run("SELECT ($1 || 'x')::INTEGER", One(arrow::int64(), "[1]")), HasSubstr("Could not convert"));
  EXPECT_EQ(kept(), 0);
  ASSERT_TRUE(Query("CREATE TABLE once(a BIGINT PRIMARY KEY)"));
  const auto insert = [&] { return Run("INSERT INTO once VALUES (?)", One(arrow::int64(), "[1]")); };
  EXPECT_EQ(insert(), "1\n");
  EXPECT_EQ(kept(), 1);
  EXPECT_THAT(insert(), HasSubstr("Duplicate key"));
  EXPECT_EQ(kept(), 0);
}

TEST_F(Parameters, EveryRowRuns) {
  EXPECT_EQ(Run("SELECT $1 * 10", One(arrow::int64(), "[1, 2, null, 4]")), "10\n20\nnull\n40\n");
  EXPECT_FALSE(connection_->InTransaction());
  ASSERT_TRUE(Query("CREATE TABLE t(a INTEGER, b VARCHAR)"));
  EXPECT_EQ(Run("INSERT INTO t VALUES (?, ?)",
                Rows({arrow::field("x", arrow::int32()), arrow::field("y", arrow::utf8())},
                     {"[1, 2, 3]", "[\"one\", null, \"three\"]"})),
            "3\n");
  EXPECT_EQ(Cell("SELECT string_agg(a || coalesce(b, 'NULL'), ' ' ORDER BY a) FROM t"), "1one 2NULL 3three");
  EXPECT_EQ(Run("UPDATE t SET b = 'x' WHERE a >= ?", One(arrow::int32(), "[1, 3]")), "4\n");
  EXPECT_EQ(Run("DELETE FROM t WHERE a = ? RETURNING a", One(arrow::int32(), "[1, 7, 3]")), "1\n3\n");
  EXPECT_EQ(Run("INSERT INTO t(a) VALUES (?)", One(arrow::int32(), "[]")), "0\n");
  EXPECT_THAT(Run("SELECT ?", One(arrow::int32(), "[]")), HasSubstr("Bind a row"));
}

TEST_F(Parameters, ManyRowsOverManyChunks) {
  ASSERT_TRUE(Query("CREATE TABLE t(a BIGINT)"));
  arrow::Int64Builder builder;
  for (int64_t i = 0; i < 5000; ++i) ASSERT_TRUE(builder.Append(i).ok());
  const auto schema = arrow::schema({arrow::field("a", arrow::int64())});
  const auto batch = arrow::RecordBatch::Make(schema, 5000, {*builder.Finish()});
  EXPECT_EQ(Run("INSERT INTO t VALUES (?)", {schema, {batch, batch->Slice(100, 10)}}), "5010\n");
  EXPECT_EQ(Cell("SELECT sum(a)::BIGINT FROM t"), std::to_string(int64_t{5000} * 4999 / 2 + 1045));
}

TEST_F(Parameters, AllRowsOrNone) {
  ASSERT_TRUE(Query("CREATE TABLE t(a INTEGER PRIMARY KEY)"));
  EXPECT_EQ(Failure("INSERT INTO t VALUES (?)", One(arrow::int32(), "[1, 2, 1]")).code,
            ErrorCode::kAlreadyExists);
  EXPECT_FALSE(connection_->InTransaction());
  EXPECT_EQ(Cell("SELECT count(*) FROM t"), "0");
  ASSERT_TRUE(Query("BEGIN"));
  EXPECT_EQ(Run("INSERT INTO t VALUES (?)", One(arrow::int32(), "[1, 2]")), "2\n");
  EXPECT_TRUE(connection_->InTransaction());
  ASSERT_TRUE(Query("ROLLBACK"));
  EXPECT_EQ(Cell("SELECT count(*) FROM t"), "0");
}

TEST_F(Parameters, AQueryOverSeveralRowsThatIsLeftEndsItsTransaction) {
  {
    auto stream =
        connection_->ExecuteWith("SELECT range FROM range($1)", One(arrow::int64(), "[1000000, 5]"));
    ASSERT_TRUE(stream.has_value()) << stream.error().message;
    EXPECT_TRUE((*stream)->HoldsConnection());
    EXPECT_FALSE(connection_->HasState());
    ASSERT_TRUE((*stream)->Next().has_value());
  }
  EXPECT_FALSE(connection_->InTransaction());
  EXPECT_EQ(Cell("SELECT 42"), "42");
}

TEST_F(Parameters, MatchByNameWhereTheyAreNamed) {
  const auto named =
      Rows({arrow::field("b", arrow::int32()), arrow::field("a", arrow::int32())}, {"[1]", "[2]"});
  EXPECT_EQ(Run("SELECT $a * 10 + $b", named), "21\n");
  EXPECT_EQ(Run("SELECT $1 * 10 + $2", named), "12\n");
  EXPECT_EQ(Run("SELECT $x * 10 + $y", named), "12\n");
  EXPECT_THAT(Failure("SELECT $a * 10 + $y", named).message, HasSubstr("$y"));
}

TEST_F(Parameters, ThatDoNotFitAreRefused) {
  const auto one = One(arrow::int32(), "[1]");
  for (const auto& [sql, says] :
       {std::pair("SELECT ? + ?", "2 parameters"), std::pair("SELECT 1", "0 parameters"),
        std::pair("SELECT 1; SELECT ?", "2 statements")}) {
    const auto failure = Failure(sql, one);
    EXPECT_EQ(failure.code, ErrorCode::kInvalidArgument) << failure.message;
    EXPECT_THAT(failure.message, HasSubstr(says));
  }
  EXPECT_EQ(Failure("COPY (SELECT ?) TO '/tmp/x'", one).code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(Failure("SELECT ?", One(arrow::decimal256(60, 2), "[\"1.00\"]")).code,
            ErrorCode::kInvalidArgument);
}

TEST_F(Parameters, RowsThatTakeNoBytesAreBounded) {
  const auto schema = arrow::schema({arrow::field("p", arrow::null())});
  const auto nulls = arrow::ArrayData::Make(arrow::null(), int64_t{1} << 62, {nullptr}, int64_t{1} << 62);
  const auto batch = arrow::RecordBatch::Make(schema, nulls->length, {nulls});
  EXPECT_EQ(Failure("SELECT ?", {schema, {batch, batch, batch}}).code, ErrorCode::kResourceExhausted);
}

TEST_F(Parameters, DamagedDataAreRefused) {
  const auto refused = [&](const std::shared_ptr<arrow::DataType>& type,
                           std::shared_ptr<arrow::ArrayData> data) {
    const auto schema = arrow::schema({arrow::field("p", type)});
    const auto failure =
        Failure("SELECT ?", {schema, {arrow::RecordBatch::Make(schema, 1, {std::move(data)})}});
    EXPECT_EQ(failure.code, ErrorCode::kInvalidArgument) << type->ToString() << failure.message;
    EXPECT_THAT(failure.message, HasSubstr("damaged")) << type->ToString();
  };
  const int32_t offsets[] = {0, 1'000'000};
  const auto wild = arrow::Buffer::Wrap(offsets, 2);
  refused(arrow::utf8(),
          arrow::ArrayData::Make(arrow::utf8(), 1, {nullptr, wild, arrow::Buffer::FromString("x")}));
  const int32_t one_byte[] = {0, 1};
  refused(arrow::utf8(), arrow::ArrayData::Make(
                             arrow::utf8(), 1,
                             {nullptr, arrow::Buffer::Wrap(one_byte, 2), arrow::Buffer::FromString("\xff")}));
  const int8_t index[] = {100};
  const auto dictionary = arrow::dictionary(arrow::int8(), arrow::utf8());
  auto data = arrow::ArrayData::Make(dictionary, 1, {nullptr, arrow::Buffer::Wrap(index, 1)});
  data->dictionary = (*arrow::json::ArrayFromJSONString(arrow::utf8(), "[\"a\"]"))->data();
  refused(dictionary, data);
  // Times of day that are none, which DuckDB doesn't look at.
  const int64_t long_ago[] = {-1};
  const int64_t late[] = {86'400'000'000'001};
  const int32_t late_seconds[] = {86'401};
  const auto time = [&](const std::shared_ptr<arrow::DataType>& type, std::shared_ptr<arrow::Buffer> values) {
    refused(type, arrow::ArrayData::Make(type, 1, {nullptr, std::move(values)}));
  };
  time(arrow::time32(arrow::TimeUnit::SECOND), arrow::Buffer::Wrap(late_seconds, 1));
  time(arrow::time64(arrow::TimeUnit::MICRO), arrow::Buffer::Wrap(long_ago, 1));
  time(arrow::time64(arrow::TimeUnit::MICRO), arrow::Buffer::Wrap(late, 1));
  time(arrow::time64(arrow::TimeUnit::NANO), arrow::Buffer::Wrap(late, 1));
}

}  // namespace

// They pass Arrow's check, and DuckDB gives its database up when a statement that writes computes with them.
TEST_F(Parameters, TimestampsBeyondMicrosecondsAreRefused) {
  const auto with = [](const std::shared_ptr<arrow::DataType>& type, int64_t value) {
    const auto schema = arrow::schema({arrow::field("p", type)});
    arrow::TimestampBuilder builder(type, arrow::default_memory_pool());
    EXPECT_TRUE(builder.Append(value).ok());
    return ParameterRows{schema, {arrow::RecordBatch::Make(schema, 1, {*builder.Finish()})}};
  };
  const auto seconds = arrow::timestamp(arrow::TimeUnit::SECOND);
  const auto milliseconds = arrow::timestamp(arrow::TimeUnit::MILLI);
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (const auto& rows : {with(seconds, kMost / 1'000'000 + 1), with(seconds, -(kMost / 1'000'000) - 1),
                           with(milliseconds, kMost / 1'000 + 1), with(milliseconds, kMost - 1)}) {
    const auto failure = Failure("SELECT {'a': ?}::VARCHAR", rows);
    EXPECT_EQ(failure.code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(failure.message, HasSubstr("too far away"));
  }
  EXPECT_TRUE(connection_->ExecuteWith("SELECT {'a': ?}::VARCHAR", with(seconds, 253'402'300'799)));
}

}  // namespace pondpilot::worker::engine
