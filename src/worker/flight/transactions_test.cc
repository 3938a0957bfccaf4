// Transactions with handles and loads, over Flight SQL.
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>

#include "contract/names.h"
#include "worker/flight/flight_fixture.h"
#include "worker/session/eventually.h"

namespace pondpilot::worker::flight {
namespace {

namespace sql = arrow::flight::sql;
using session::Eventually;
using testing::HasSubstr;
using Missing = sql::TableDefinitionOptionsTableNotExistOption;
using There = sql::TableDefinitionOptionsTableExistsOption;

std::shared_ptr<arrow::RecordBatchReader> ThreeRows() {
  const auto field = arrow::field("a", arrow::int32());
  const auto column = *arrow::json::ArrayFromJSONString(arrow::int32(), "[1, 2, null]");
  const auto batch = arrow::RecordBatch::Make(arrow::schema({field}), 3, {column});
  return *arrow::RecordBatchReader::Make({batch, batch});
}

class TransactionTest : public FlightTest {
 protected:
  fl::FlightCallOptions options_ = Loopback::AsProxy("a");

  std::string In(const sql::Transaction& transaction, const std::string& text) {
    const auto info = sql_.Execute(options_, text, transaction);
    return info.ok() ? Value(Read(**info, options_)) : info.status().ToString();
  }
  arrow::Result<int64_t> Load(const std::string& table, There there = There::kFail,
                              const sql::Transaction& transaction = sql::no_transaction(),
                              bool temporary = false) {
    return sql_.ExecuteIngest(options_, ThreeRows(), {Missing::kCreate, there}, table, std::nullopt,
                              std::nullopt, temporary, transaction);
  }
};

TEST_F(TransactionTest, CommitAndRollbackHoldToTheirHandle) {
  ASSERT_TRUE(Sql("CREATE OR REPLACE TABLE ledger(a INT)").ok());
  const auto first = *sql_.BeginTransaction(options_);
  const auto second = *sql_.BeginTransaction(options_);
  EXPECT_EQ(sql_.ExecuteUpdate(options_, "INSERT INTO ledger VALUES (1)", first).ValueOr(-9), 1);
  EXPECT_EQ(sql_.ExecuteUpdate(options_, "INSERT INTO ledger VALUES (2)", second).ValueOr(-9), 1);
  EXPECT_EQ(In(first, "SELECT sum(a)::INT FROM ledger"), "1");
  EXPECT_EQ(In(second, "SELECT sum(a)::INT FROM ledger"), "2");
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM ledger")), "0");  // without a handle: beside them
  ASSERT_TRUE(sql_.Rollback(options_, first).ok());
  ASSERT_TRUE(sql_.Commit(options_, second).ok());
  EXPECT_EQ(Value(Sql("SELECT sum(a)::INT FROM ledger")), "2");
  EXPECT_TRUE(sql_.Commit(options_, second).IsKeyError());
  EXPECT_TRUE(sql_.Execute(options_, "SELECT 1", first).status().IsKeyError());
  ASSERT_TRUE(Sql("DROP TABLE ledger").ok());
}

TEST_F(TransactionTest, BelongsToItsConnection) {
  const auto mine = *sql_.BeginTransaction(options_);
  const auto other = Loopback::AsProxy("b");
  EXPECT_TRUE(sql_.Execute(other, "SELECT 1", mine).status().IsKeyError());
  EXPECT_TRUE(sql_.Rollback(other, mine).IsKeyError());
  EXPECT_EQ(In(mine, "SELECT 1"), "1");
  EXPECT_TRUE(sql_.Rollback(options_, mine).ok());
}

TEST_F(TransactionTest, SeesTheSessionsTemporaryTables) {
  ASSERT_TRUE(Sql("CREATE TEMP TABLE scratch AS SELECT 5 AS a").ok());
  const auto transaction = *sql_.BeginTransaction(options_);
  EXPECT_EQ(In(transaction, "SELECT a FROM scratch"), "5");
  EXPECT_THAT(Value(Sql("SELECT a FROM scratch")), HasSubstr("handle"));
  EXPECT_TRUE(sql_.GetTables(options_, nullptr, nullptr, nullptr, false, nullptr).ok());
  ASSERT_TRUE(sql_.Commit(options_, transaction).ok());
  EXPECT_EQ(Value(Sql("SELECT a FROM scratch")), "5");
}

TEST_F(TransactionTest, PreparedStatementsRunInside) {
  ASSERT_TRUE(Sql("CREATE OR REPLACE TABLE inside(a INT)").ok());
  const auto transaction = *sql_.BeginTransaction(options_);
  auto insert = *sql_.Prepare(options_, "INSERT INTO inside VALUES (7)", transaction);
  EXPECT_EQ(insert->ExecuteUpdate(options_).ValueOr(-9), 1);
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM inside")), "0");
  ASSERT_TRUE(sql_.Rollback(options_, transaction).ok());
  EXPECT_TRUE(insert->ExecuteUpdate(options_).status().IsKeyError());
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM inside")), "0");
  ASSERT_TRUE(Sql("DROP TABLE inside").ok());
}

TEST_F(TransactionTest, ACommitThatCanNotBeSaysSo) {
  ASSERT_TRUE(Sql("CREATE OR REPLACE TABLE keyed(a INT PRIMARY KEY)").ok());
  const auto transaction = *sql_.BeginTransaction(options_);
  EXPECT_EQ(sql_.ExecuteUpdate(options_, "INSERT INTO keyed VALUES (1)", transaction).ValueOr(-9), 1);
  EXPECT_FALSE(sql_.ExecuteUpdate(options_, "INSERT INTO keyed VALUES (1)", transaction).ok());
  const auto status = sql_.Commit(options_, transaction);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("rolled back"));
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM keyed")), "0");
  ASSERT_TRUE(Sql("DROP TABLE keyed").ok());
}

TEST_F(TransactionTest, SavepointsAreNot) {
  const auto transaction = *sql_.BeginTransaction(options_);
  const auto status = sql_.BeginSavepoint(options_, transaction, "s").status();
  EXPECT_TRUE(status.IsNotImplemented()) << status.ToString();
  EXPECT_TRUE(sql_.Rollback(options_, transaction).ok());
}

TEST_F(TransactionTest, AnUnreadResultDoesNotHoldItOpen) {
  const auto transaction = *sql_.BeginTransaction(options_);
  const auto info = sql_.Execute(options_, "SELECT range FROM range(10000000)", transaction);
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_TRUE(sql_.Commit(options_, transaction).ok());
  EXPECT_TRUE(client_->DoGet(options_, (*info)->endpoints()[0].ticket).status().IsKeyError());
}

// ---- Loads

TEST_F(TransactionTest, LoadsSayHowManyRows) {
  EXPECT_EQ(Load("loaded", There::kReplace).ValueOr(-9), 6);
  EXPECT_EQ(Value(Sql("SELECT count(*) || ' ' || sum(a) FROM loaded")), "6 6");
  EXPECT_TRUE(Load("loaded").status().IsAlreadyExists());
  EXPECT_EQ(Load("loaded", There::kAppend).ValueOr(-9), 6);
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM loaded")), "12");
  const auto missing = sql_.ExecuteIngest(options_, ThreeRows(), {Missing::kFail, There::kAppend},
                                          "not_there", std::nullopt, std::nullopt, false);
  EXPECT_TRUE(missing.status().IsKeyError()) << missing.status().ToString();
  ASSERT_TRUE(Sql("DROP TABLE loaded").ok());
}

TEST_F(TransactionTest, ATemporaryLoadIsTheConnectionsOwn) {
  EXPECT_EQ(Load("mine", There::kReplace, sql::no_transaction(), true).ValueOr(-9), 6);
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM mine")), "6");
  EXPECT_THAT(Value(Sql("SELECT count(*) FROM mine", "b")), HasSubstr("does not exist"));
}

TEST_F(TransactionTest, LoadsJoinTheOnlyTransaction) {
  const auto transaction = *sql_.BeginTransaction(options_);
  EXPECT_EQ(Load("joined").ValueOr(-9), 6);
  EXPECT_EQ(In(transaction, "SELECT count(*) FROM joined"), "6");
  ASSERT_TRUE(sql_.Rollback(options_, transaction).ok());
  EXPECT_THAT(Value(Sql("SELECT count(*) FROM joined")), HasSubstr("does not exist"));
  const auto named = *sql_.BeginTransaction(options_);
  const auto beside = *sql_.BeginTransaction(options_);
  EXPECT_EQ(Load("joined", There::kFail, named).ValueOr(-9), 6);
  ASSERT_TRUE(sql_.Rollback(options_, beside).ok());
  ASSERT_TRUE(sql_.Commit(options_, named).ok());
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM joined")), "6");
  ASSERT_TRUE(Sql("DROP TABLE joined").ok());
}

TEST_F(TransactionTest, ALoadThatBreaksOffLeavesNothing) {
  std::string command = Any("CommandStatementIngest", [] {
    // table_definition_options {if_not_exist: CREATE, if_exists: FAIL}, table "broken_off"
    std::string message(
        "\x0a\x04\x08\x01\x10\x01\x12\x0a"
        "broken_off",
        18);
    return message;
  }());
  const auto schema = arrow::schema({arrow::field("a", arrow::int32())});
  const auto rows = *ThreeRows()->Next();
  // The call's deadline passes, which is no end of the rows.
  auto short_options = options_;
  short_options.timeout = fl::TimeoutDuration(0.5);
  auto late = client_->DoPut(short_options, fl::FlightDescriptor::Command(command), schema);
  ASSERT_TRUE(late.ok()) << late.status().ToString();
  ASSERT_TRUE(late->writer->WriteRecordBatch(*rows).ok());
  ASSERT_TRUE(Eventually([&] { return server_.runner().activity().Get().running_statements == 1; }));
  EXPECT_TRUE(Eventually([&] { return server_.runner().activity().Get().running_statements == 0; }));
  EXPECT_FALSE(late->writer->Close().ok());
  EXPECT_THAT(Value(Sql("SELECT count(*) FROM broken_off", "b")), HasSubstr("does not exist"));
  auto whole = client_->DoPut(options_, fl::FlightDescriptor::Command(command), schema);
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  ASSERT_TRUE(whole->writer->WriteRecordBatch(*rows).ok());
  EXPECT_TRUE(whole->writer->Close().ok());
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM broken_off", "b")), "3");
  ASSERT_TRUE(Sql("DROP TABLE broken_off", "b").ok());
}

// Where the proxy has promised to mark the end, an end without the mark is none.
TEST_F(TransactionTest, ALoadWithoutItsMarkIsNotWhole) {
  const std::string command = Any("CommandStatementIngest", [] {
    return std::string(
        "\x0a\x04\x08\x01\x10\x01\x12\x08"
        "unmarked",
        16);
  }());
  const auto schema = arrow::schema({arrow::field("a", arrow::int32())});
  const auto rows = *ThreeRows()->Next();
  auto promised = options_;
  promised.headers.emplace_back(contract::kUploadEndHeader, "marked");
  for (const bool marked : {false, true}) {
    auto load = client_->DoPut(promised, fl::FlightDescriptor::Command(command), schema);
    ASSERT_TRUE(load.ok()) << load.status().ToString();
    ASSERT_TRUE(load->writer->WriteRecordBatch(*rows).ok());
    if (marked) {
      ASSERT_TRUE(
          load->writer->WriteMetadata(arrow::Buffer::FromString(std::string(contract::kUploadEndMark))).ok());
    }
    const auto closed = load->writer->Close();
    EXPECT_EQ(closed.ok(), marked) << closed.ToString();
    const auto count = Value(Sql("SELECT count(*) FROM unmarked", "b"));
    EXPECT_THAT(count, HasSubstr(marked ? "3" : "does not exist"));
  }
  ASSERT_TRUE(Sql("DROP TABLE unmarked", "b").ok());
}

TEST_F(TransactionTest, ALoadWithoutASchemaIsRefused) {
  const auto status =
      sql_.ExecuteIngest(options_, *arrow::RecordBatchReader::Make({}, arrow::schema({})),
                         {Missing::kCreate, There::kFail}, "nothing", std::nullopt, std::nullopt, false)
          .status();
  EXPECT_TRUE(status.IsInvalid()) << status.ToString();
}

}  // namespace
}  // namespace pondpilot::worker::flight
