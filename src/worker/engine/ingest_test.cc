// Rows loaded in bulk.
#include <arrow/api.h>
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>

#include "worker/engine/engine_fixture.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using testing::HasSubstr;
using IfThere = IngestTarget::IfThere;
using IfMissing = IngestTarget::IfMissing;

class Batches final : public RowSource {
 public:
  Batches(std::shared_ptr<arrow::Schema> schema, std::vector<std::shared_ptr<arrow::RecordBatch>> batches,
          std::optional<base::Error> end = std::nullopt)
      : schema_(std::move(schema)), batches_(std::move(batches)), end_(std::move(end)) {}
  const std::shared_ptr<arrow::Schema>& schema() const override { return schema_; }
  base::Result<std::shared_ptr<arrow::RecordBatch>> Next() override {
    if (next_ < batches_.size()) return batches_[next_++];
    if (end_) return std::unexpected(*end_);
    return nullptr;
  }

 private:
  std::shared_ptr<arrow::Schema> schema_;
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches_;
  std::optional<base::Error> end_;
  size_t next_ = 0;
};

class Ingest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    Lock();
  }

  static std::shared_ptr<arrow::RecordBatch> Batch(const arrow::FieldVector& fields,
                                                   const std::vector<std::string>& columns) {
    arrow::ArrayVector arrays;
    for (size_t i = 0; i < fields.size(); ++i)
      arrays.push_back(*arrow::json::ArrayFromJSONString(fields[i]->type(), columns[i]));
    return arrow::RecordBatch::Make(arrow::schema(fields), arrays[0]->length(), arrays);
  }
  static std::shared_ptr<arrow::RecordBatch> TwoRows() {
    return Batch({arrow::field("a", arrow::int32()), arrow::field("b", arrow::utf8())},
                 {"[1, null]", "[\"x\", \"y\"]"});
  }
  base::Result<int64_t> Load(const IngestTarget& target,
                             const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches,
                             std::optional<base::Error> end = std::nullopt) {
    Batches source(batches[0]->schema(), batches, std::move(end));
    return connection_->Ingest(target, source);
  }
  static IngestTarget Into(const std::string& table, IfThere there = IfThere::kFail,
                           IfMissing missing = IfMissing::kCreate) {
    IngestTarget target;
    target.table = table;
    target.if_there = there;
    target.if_missing = missing;
    return target;
  }
};

TEST_F(Ingest, CreatesAppendsReplacesAndFails) {
  EXPECT_EQ(Load(Into("t"), {TwoRows(), TwoRows()}), 4);
  EXPECT_EQ(Cell("SELECT count(*) || ' ' || count(a) || ' ' || string_agg(DISTINCT b ORDER BY b) FROM t"),
            "4 2 x,y");
  EXPECT_EQ(Load(Into("t"), {TwoRows()}).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(Load(Into("t", IfThere::kAppend), {TwoRows()}), 2);
  EXPECT_EQ(Cell("SELECT count(*) FROM t"), "6");
  EXPECT_EQ(Load(Into("t", IfThere::kReplace), {TwoRows()}), 2);
  EXPECT_EQ(Cell("SELECT count(*) FROM t"), "2");
  EXPECT_EQ(Load(Into("u", IfThere::kAppend, IfMissing::kFail), {TwoRows()}).error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(Load(Into("u", IfThere::kAppend), {TwoRows()}), 2);
  EXPECT_FALSE(connection_->InTransaction());
  EXPECT_FALSE(connection_->HasState());
}

TEST_F(Ingest, OfNoRowsMakesAnEmptyTable) {
  EXPECT_EQ(Load(Into("empty"), {TwoRows()->Slice(0, 0)}), 0);
  EXPECT_EQ(Cell("SELECT count(*) FROM empty"), "0");
}

TEST_F(Ingest, ColumnsAreMatchedByName) {
  ASSERT_TRUE(Query("CREATE TABLE t(b VARCHAR, extra INT DEFAULT 7, A BIGINT)"));
  EXPECT_EQ(Load(Into("t", IfThere::kAppend), {TwoRows()}), 2);
  EXPECT_EQ(Cell("SELECT b || extra || a FROM t WHERE a IS NOT NULL"), "x71");
  const auto wrong =
      Load(Into("t", IfThere::kAppend), {Batch({arrow::field("nope", arrow::int32())}, {"[1]"})});
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error().message, HasSubstr("nope"));
  const auto type =
      Load(Into("t", IfThere::kAppend), {Batch({arrow::field("a", arrow::utf8())}, {"[\"no number\"]"})});
  ASSERT_FALSE(type.has_value());
  EXPECT_THAT(type.error().message, HasSubstr("no number"));
  EXPECT_EQ(Cell("SELECT count(*) FROM t"), "2");
}

TEST_F(Ingest, NamesAreQuoted) {
  ASSERT_TRUE(Query("CREATE SCHEMA \"odd \"\"schema\""));
  IngestTarget target = Into("a\"b; DROP TABLE x; --");
  target.schema = "odd \"schema";
  EXPECT_EQ(Load(target, {Batch({arrow::field("c\"d", arrow::int32())}, {"[5]"})}), 1);
  EXPECT_EQ(Cell("SELECT \"c\"\"d\" FROM \"odd \"\"schema\".\"a\"\"b; DROP TABLE x; --\""), "5");
}

TEST_F(Ingest, GoesWhereItIsTold) {
  ASSERT_TRUE(Query("ATTACH ':memory:' AS other"));
  IngestTarget target = Into("t");
  target.catalog = "other";
  EXPECT_EQ(Load(target, {TwoRows()}), 2);
  EXPECT_EQ(Cell("SELECT count(*) FROM other.main.t"), "2");
  IngestTarget temporary = Into("t");
  temporary.temporary = true;
  EXPECT_EQ(Load(temporary, {TwoRows()}), 2);
  EXPECT_TRUE(connection_->HasState());
  EXPECT_EQ(Cell("SELECT count(*) FROM temp.main.t"), "2");
  temporary.catalog = "other";
  EXPECT_EQ(Load(temporary, {TwoRows()}).error().code, ErrorCode::kInvalidArgument);
  target.catalog = "nowhere";
  EXPECT_FALSE(Load(target, {TwoRows()}).has_value());
  for (const char* catalog : {"system"}) {
    target.catalog = catalog;
    EXPECT_FALSE(Load(target, {TwoRows()}).has_value()) << catalog;
  }
  ASSERT_TRUE(Query("CREATE SCHEMA s; USE s"));
  EXPECT_EQ(Load(Into("here"), {TwoRows()}), 2);
  EXPECT_EQ(Cell("SELECT count(*) FROM s.here"), "2");
}

TEST_F(Ingest, AllRowsOrNone) {
  ASSERT_TRUE(Query("CREATE TABLE keyed(a INTEGER PRIMARY KEY)"));
  const auto row = Batch({arrow::field("a", arrow::int32())}, {"[1]"});
  EXPECT_FALSE(Load(Into("keyed", IfThere::kAppend), {row, row}).has_value());
  EXPECT_EQ(Cell("SELECT count(*) FROM keyed"), "0");
  const base::Error gone{ErrorCode::kCancelled, "The client has gone.", "", {}};
  EXPECT_EQ(Load(Into("never"), {row}, gone).error().code, ErrorCode::kCancelled);
  EXPECT_THAT(Cell("SELECT count(*) FROM never"), HasSubstr("does not exist"));
  EXPECT_FALSE(connection_->InTransaction());
}

TEST_F(Ingest, InsideATransaction) {
  ASSERT_TRUE(connection_->Begin().has_value());
  EXPECT_EQ(Load(Into("t"), {TwoRows()}), 2);
  EXPECT_EQ(Cell("SELECT count(*) FROM t"), "2");
  ASSERT_TRUE(connection_->End(false).has_value());
  EXPECT_THAT(Cell("SELECT count(*) FROM t"), HasSubstr("does not exist"));
  // A failure in the middle of it must not be committed.
  ASSERT_TRUE(connection_->Begin().has_value());
  const auto failed =
      Load(Into("t"), {TwoRows()}, base::Error{ErrorCode::kInvalidArgument, "broken", "", {}});
  ASSERT_FALSE(failed.has_value());
  EXPECT_THAT(failed.error().message, HasSubstr("only be rolled back"));
  EXPECT_FALSE(Query("SELECT 1").has_value());
  EXPECT_EQ(connection_->End(true).error().code, ErrorCode::kAborted);
  EXPECT_FALSE(connection_->InTransaction());
  EXPECT_THAT(Cell("SELECT count(*) FROM t"), HasSubstr("does not exist"));
  EXPECT_EQ(Cell("SELECT 1"), "1");
}

TEST_F(Ingest, ACommitOfAFailedTransactionSaysSo) {
  ASSERT_TRUE(Query("CREATE TABLE keyed(a INTEGER PRIMARY KEY); BEGIN; INSERT INTO keyed VALUES (1)"));
  EXPECT_FALSE(Query("INSERT INTO keyed VALUES (1)").has_value());
  EXPECT_EQ(ErrorOf("COMMIT").code, ErrorCode::kAborted);
  EXPECT_FALSE(connection_->InTransaction());
  EXPECT_EQ(Cell("SELECT count(*) FROM keyed"), "0");
}

TEST_F(Ingest, ManyRowsOverSeveralWindows) {
  arrow::Int64Builder builder;
  for (int64_t i = 0; i < 1'000'000; ++i) ASSERT_TRUE(builder.Append(i).ok());
  const auto column = *builder.Finish();
  const auto schema = arrow::schema({arrow::field("a", arrow::int64())});
  const auto batch = arrow::RecordBatch::Make(schema, column->length(), {column});
  EXPECT_EQ(Load(Into("big"), std::vector<std::shared_ptr<arrow::RecordBatch>>(10, batch)), 10'000'000);
  EXPECT_EQ(Cell("SELECT sum(a)::BIGINT FROM big"), std::to_string(int64_t{10} * 999'999 * 500'000));
}

TEST_F(Ingest, WhatIsNoTableIsRefused) {
  const auto refused = [&](const IngestTarget& target, const std::shared_ptr<arrow::RecordBatch>& batch) {
    const auto loaded = Load(target, {batch});
    EXPECT_FALSE(loaded.has_value());
    return loaded ? "" : loaded.error().message;
  };
  EXPECT_THAT(refused(Into(""), TwoRows()), HasSubstr("name of the table"));
  EXPECT_THAT(refused(Into("t"), Batch({arrow::field("a", arrow::int32()), arrow::field("A", arrow::int32())},
                                       {"[1]", "[2]"})),
              HasSubstr("Two columns"));
  EXPECT_THAT(refused(Into("t"), arrow::RecordBatch::Make(arrow::schema({}), 3, arrow::ArrayVector{})),
              HasSubstr("no columns"));
  EXPECT_THAT(refused(Into("t"), Batch({arrow::field("a", arrow::decimal256(60, 2))}, {"[\"1.00\"]"})),
              HasSubstr("\"a\""));
  ASSERT_TRUE(Query("CREATE VIEW v AS SELECT 1 AS a, 'x' AS b"));
  for (const auto there : {IfThere::kFail, IfThere::kAppend, IfThere::kReplace})
    EXPECT_NE(refused(Into("v", there), TwoRows()), "");
}

TEST_F(Ingest, TheFunctionBehindItIsOfNoUseToSql) {
  EXPECT_THAT(ErrorOf("SELECT * FROM pondpilot_ingest()").message, HasSubstr("ingest only"));
  EXPECT_FALSE(Query("SELECT * FROM pondpilot_ingest(1, 2, 3)").has_value());
  EXPECT_FALSE(Query("CREATE VIEW v AS SELECT * FROM pondpilot_ingest()").has_value());
}

TEST_F(Ingest, ATenantsFunctionOfThatNameIsNotTaken) {
  ASSERT_TRUE(Query("CREATE MACRO pondpilot_ingest() AS TABLE SELECT 99 AS a, 'mine' AS b"));
  EXPECT_EQ(Load(Into("t"), {TwoRows()}), 2);
  EXPECT_EQ(Cell("SELECT max(a) FROM t"), "1");
}

}  // namespace
}  // namespace pondpilot::worker::engine
