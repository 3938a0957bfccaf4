// Prepared statements over Flight SQL.
#include <arrow/flight/sql/column_metadata.h>
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>

#include "worker/flight/flight_fixture.h"

namespace pondpilot::worker::flight {
namespace {

using testing::HasSubstr;

std::shared_ptr<arrow::RecordBatch> Values(const arrow::FieldVector& fields,
                                           const std::vector<std::string>& columns) {
  arrow::ArrayVector arrays;
  for (size_t i = 0; i < fields.size(); ++i)
    arrays.push_back(*arrow::json::ArrayFromJSONString(fields[i]->type(), columns[i]));
  return arrow::RecordBatch::Make(arrow::schema(fields), arrays[0]->length(), arrays);
}

class PreparedTest : public FlightTest {
 protected:
  using Statement = std::shared_ptr<fl::sql::PreparedStatement>;
  Statement Prepare(const std::string& text, const std::string& connection = "a") {
    auto prepared = sql_.Prepare(Loopback::AsProxy(connection), text);
    EXPECT_TRUE(prepared.ok()) << prepared.status().ToString();
    return prepared.ok() ? *prepared : nullptr;
  }
  Rows Run(fl::sql::PreparedStatement& statement) {
    const auto options = Loopback::AsProxy();
    ARROW_ASSIGN_OR_RAISE(const auto info, statement.Execute(options));
    return Read(*info, options);
  }
};

TEST_F(PreparedTest, APreparedQueryRunsAgainAndAgain) {
  const auto options = Loopback::AsProxy();
  auto prepared = sql_.Prepare(options, "SELECT 1 AS a, 2 AS a, 'x' AS b -- the end");
  ASSERT_TRUE(prepared.ok()) << prepared.status().ToString();
  EXPECT_EQ((*prepared)->dataset_schema()->field_names(), (std::vector<std::string>{"a", "a", "b"}));
  EXPECT_EQ((*prepared)->parameter_schema()->num_fields(), 0);
  for (int i = 0; i < 2; ++i) {
    const auto info = (*prepared)->Execute(options);
    ASSERT_TRUE(info.ok()) << info.status().ToString();
    const auto rows = Read(**info, options);
    ASSERT_TRUE(rows.ok()) << rows.status().ToString();
    EXPECT_TRUE((*rows)->schema()->Equals(*(*prepared)->dataset_schema())) << (*rows)->schema()->ToString();
  }
  EXPECT_TRUE((*prepared)->Close(options).ok());
  EXPECT_FALSE((*prepared)->Execute(options).ok());
}

// As JDBC's driver sends them.
TEST_F(PreparedTest, TimesAreAskedForInMilliseconds) {
  const auto statement = Prepare("SELECT ?::TIME, ?::TIMESTAMP, ?::TIMESTAMPTZ, ?::TIMESTAMP_NS");
  ASSERT_NE(statement, nullptr);
  const auto& fields = statement->parameter_schema()->fields();
  ASSERT_EQ(fields.size(), 4u);
  EXPECT_EQ(fields[0]->type()->ToString(), "time32[ms]");
  EXPECT_EQ(fields[1]->type()->ToString(), "timestamp[ms]");
  EXPECT_EQ(fields[2]->type()->ToString(), "timestamp[ms, tz=UTC]");
  EXPECT_EQ(fields[3]->type()->ToString(), "timestamp[ms]");
}

TEST_F(PreparedTest, ColumnsAreDescribedBeforeTheRun) {
  const auto statement = Prepare("SELECT 1.50::DECIMAL(9, 2) AS price, ? AS open");
  ASSERT_NE(statement, nullptr);
  const auto& fields = statement->dataset_schema()->fields();
  ASSERT_EQ(fields.size(), 2u);
  const fl::sql::ColumnMetadata price(fields[0]->metadata());
  EXPECT_EQ(*price.GetTypeName(), "DECIMAL(9,2)");
  EXPECT_EQ(*price.GetPrecision(), 9);
  EXPECT_EQ(*price.GetScale(), 2);
  EXPECT_EQ(*fl::sql::ColumnMetadata(fields[1]->metadata()).GetTypeName(), "VARCHAR");
  // The rows themselves come without.
  const auto schema = sql_.GetExecuteSchema(Loopback::AsProxy(), "SELECT 1.50::DECIMAL(9, 2) AS price");
  ASSERT_TRUE(schema.ok()) << schema.status().ToString();
  arrow::ipc::DictionaryMemo memo;
  EXPECT_FALSE((*(*schema)->GetSchema(&memo))->field(0)->HasMetadata());
}

TEST_F(PreparedTest, PreparingAChangeDoesNotRunIt) {
  const auto options = Loopback::AsProxy();
  ASSERT_TRUE(Sql("CREATE TEMP TABLE target(a INT)").ok());
  for (const char* sql :
       {"INSERT INTO target VALUES (1)", "WITH x AS (SELECT 1) INSERT INTO target FROM x"}) {
    auto prepared = sql_.Prepare(options, sql);
    ASSERT_TRUE(prepared.ok()) << sql << ": " << prepared.status().ToString();
    EXPECT_EQ((*prepared)->dataset_schema()->num_fields(), 0) << sql;
    EXPECT_EQ(Value(Sql("SELECT count(*) FROM target")), "0") << sql;
    EXPECT_EQ((*prepared)->ExecuteUpdate(options).ValueOr(-99), 1) << sql;
    EXPECT_EQ(Value(Sql("SELECT count(*) FROM target")), "1") << sql;
    ASSERT_TRUE(Sql("DELETE FROM target").ok());
    EXPECT_TRUE((*prepared)->Close(options).ok());
  }
}

TEST_F(PreparedTest, ParametersAreDescribedAndBound) {
  ASSERT_TRUE(Sql("CREATE TEMP TABLE people(id INT, name VARCHAR)").ok());
  auto insert = Prepare("INSERT INTO people VALUES (?, ?)");
  EXPECT_EQ(insert->dataset_schema()->num_fields(), 0);
  EXPECT_EQ(insert->parameter_schema()->ToString(), "1: int32\n2: string");
  ASSERT_TRUE(
      insert
          ->SetParameters(Values({arrow::field("1", arrow::int32()), arrow::field("2", arrow::utf8())},
                                 {"[1, 2, 3]", "[\"a\", null, \"null\"]"}))
          .ok());
  EXPECT_EQ(insert->ExecuteUpdate(Loopback::AsProxy()).ValueOr(-99), 3);
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM people WHERE name IS NULL")), "1");
  auto select = Prepare("SELECT name FROM people WHERE id = ?");
  EXPECT_EQ(select->dataset_schema()->field_names(), std::vector<std::string>{"name"});
  for (const auto& [id, name] : {std::pair("[1]", "a"), std::pair("[3]", "null")}) {
    ASSERT_TRUE(select->SetParameters(Values({arrow::field("1", arrow::int32())}, {id})).ok());
    EXPECT_EQ(Value(Run(*select)), name);
  }
  ASSERT_TRUE(select->SetParameters(Values({arrow::field("x", arrow::int64())}, {"[1, 3, 9, 1]"})).ok());
  const auto rows = Run(*select);
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_THAT(Column(*rows, "name"), testing::ElementsAre("a", "null", "a"));
  ASSERT_TRUE(Sql("DROP TABLE people").ok());
}

TEST_F(PreparedTest, WithoutValuesItSaysSo) {
  auto select = Prepare("SELECT ?::INT AS a");
  const auto status = Run(*select).status();
  EXPECT_TRUE(status.IsInvalid()) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("parameter"));
  const auto wrong = select->SetParameters(
      Values({arrow::field("1", arrow::int32()), arrow::field("2", arrow::int32())}, {"[1]", "[2]"}));
  EXPECT_TRUE(!wrong.ok() || Run(*select).status().IsInvalid());
}

TEST_F(PreparedTest, WhatCanNotBePrepared) {
  const auto options = Loopback::AsProxy();
  EXPECT_THAT(sql_.Prepare(options, "SELECT nothing_here").status().message(), HasSubstr("nothing_here"));
  EXPECT_FALSE(sql_.Prepare(options, "").ok());
  EXPECT_THAT(sql_.Prepare(options, "SELECT 1; SELECT ?").status().message(),
              HasSubstr("several statements"));
  const auto refused = sql_.Prepare(options, "COPY (SELECT ?) TO '/tmp/x.csv'").status();
  EXPECT_EQ(CodeOf(refused), fl::FlightStatusCode::Unauthorized) << refused.ToString();
}

TEST_F(PreparedTest, HandlesBelongToTheirConnection) {
  auto mine = Prepare("SELECT 42 AS a", "a");
  EXPECT_TRUE(mine->Execute(Loopback::AsProxy("b")).status().IsKeyError());
  EXPECT_TRUE(mine->Execute(Loopback::AsProxy("a")).ok());
  EXPECT_FALSE(mine->Close(Loopback::AsProxy("b")).ok());
}

TEST_F(PreparedTest, OfSeveralStatementsAllRun) {
  auto several =
      Prepare("CREATE TEMP TABLE several_p AS SELECT 1 AS a; INSERT INTO several_p VALUES (2), (3)");
  EXPECT_EQ(several->dataset_schema()->num_fields(), 0);
  EXPECT_EQ(several->ExecuteUpdate(Loopback::AsProxy()).ValueOr(-99), 2);
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM several_p")), "3");
  ASSERT_TRUE(Sql("DROP TABLE several_p").ok());
}

TEST_F(PreparedTest, DdlChangesNoRows) {
  auto ddl = Prepare("CREATE TEMP TABLE made(a INT)");
  EXPECT_EQ(ddl->dataset_schema()->num_fields(), 0);
  EXPECT_EQ(ddl->ExecuteUpdate(Loopback::AsProxy()).ValueOr(-99), 0);
  ASSERT_TRUE(Sql("DROP TABLE made").ok());
  EXPECT_EQ(sql_.ExecuteUpdate(Loopback::AsProxy(), "CREATE TEMP TABLE made AS SELECT range FROM range(5)")
                .ValueOr(-99),
            5);
  EXPECT_EQ(sql_.ExecuteUpdate(Loopback::AsProxy(), "SELECT * FROM made").ValueOr(-99), -1);
  ASSERT_TRUE(Sql("DROP TABLE made").ok());
}

}  // namespace
}  // namespace pondpilot::worker::flight
