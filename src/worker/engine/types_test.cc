// Arrow's types into DuckDB and DuckDB's out again.
#include <arrow/api.h>
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>

#include "worker/engine/engine_fixture.h"

namespace pondpilot::worker::engine {
namespace {

using testing::HasSubstr;

class OneBatch final : public RowSource {
 public:
  explicit OneBatch(std::shared_ptr<arrow::RecordBatch> batch)
      : schema_(batch->schema()), batch_(std::move(batch)) {}
  const std::shared_ptr<arrow::Schema>& schema() const override { return schema_; }
  base::Result<std::shared_ptr<arrow::RecordBatch>> Next() override { return std::move(batch_); }

 private:
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::RecordBatch> batch_;
};

class Types : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    Lock();
  }
  // The type that a column of `type` has in DuckDB, and its values as DuckDB writes them.
  std::string Through(const std::shared_ptr<arrow::Array>& column) {
    const auto schema = arrow::schema({arrow::field("v", column->type())});
    OneBatch source(arrow::RecordBatch::Make(schema, column->length(), {column}));
    IngestTarget target;
    target.table = "typed";
    target.if_there = IngestTarget::IfThere::kReplace;
    const auto rows = connection_->Ingest(target, source);
    if (!rows) return "error: " + rows.error().message;
    return Cell(
        "SELECT typeof(any_value(v)) || ' ' || string_agg(coalesce(v::VARCHAR, 'NULL'), ' ; ') FROM typed");
  }
  std::string Through(const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
    auto column = arrow::json::ArrayFromJSONString(type, json);
    return column.ok() ? Through(*column) : "json: " + column.status().ToString();
  }
};

TEST_F(Types, NumbersOfEveryWidth) {
  EXPECT_EQ(Through(arrow::boolean(), "[true, null, false]"), "BOOLEAN true ; NULL ; false");
  EXPECT_EQ(Through(arrow::int8(), "[-128, null, 127]"), "TINYINT -128 ; NULL ; 127");
  EXPECT_EQ(Through(arrow::uint64(), "[18446744073709551615]"), "UBIGINT 18446744073709551615");
  EXPECT_EQ(Through(arrow::float64(), "[Inf, -Inf, NaN]"), "DOUBLE inf ; -inf ; nan");
  EXPECT_EQ(Through(arrow::decimal32(9, 2), "[\"1234567.89\", null]"), "DECIMAL(9,2) 1234567.89 ; NULL");
  EXPECT_EQ(Through(arrow::decimal64(18, 0), "[\"999999999999999999\"]"), "DECIMAL(18,0) 999999999999999999");
  EXPECT_EQ(Through(arrow::decimal128(4, 1), "[\"-999.9\"]"), "DECIMAL(4,1) -999.9");
  EXPECT_EQ(Through(arrow::decimal128(38, 38), "[\"0.12345678901234567890123456789012345678\"]"),
            "DECIMAL(38,38) .12345678901234567890123456789012345678");
  EXPECT_EQ(Through(arrow::null(), "[null, null]"), "INTEGER NULL ; NULL");
}

TEST_F(Types, TextsAndBytes) {
  for (const auto& type : {arrow::utf8(), arrow::large_utf8(), arrow::utf8_view()})
    EXPECT_EQ(Through(type, "[\"\", null, \"a text longer than twelve\"]"),
              "VARCHAR  ; NULL ; a text longer than twelve");
  for (const auto& type : {arrow::binary(), arrow::large_binary(), arrow::binary_view()})
    EXPECT_EQ(Through(type, "[\"ab\", null]"), "BLOB ab ; NULL");
  EXPECT_EQ(Through(arrow::fixed_size_binary(2), "[\"ab\", null]"), "BLOB ab ; NULL");
  EXPECT_EQ(Through(arrow::dictionary(arrow::int16(), arrow::utf8()), "[\"a\", null, \"b\"]"),
            "VARCHAR a ; NULL ; b");
}

TEST_F(Types, Times) {
  EXPECT_EQ(Through(arrow::date32(), "[0, null, -719162]"), "DATE 1970-01-01 ; NULL ; 0001-01-01");
  EXPECT_EQ(Through(arrow::date64(), "[86400000]"), "DATE 1970-01-02");
  EXPECT_EQ(Through(arrow::time32(arrow::TimeUnit::SECOND), "[86399]"), "TIME 23:59:59");
  EXPECT_EQ(Through(arrow::time64(arrow::TimeUnit::MICRO), "[1]"), "TIME 00:00:00.000001");
  EXPECT_EQ(Through(arrow::timestamp(arrow::TimeUnit::SECOND), "[0]"), "TIMESTAMP_S 1970-01-01 00:00:00");
  EXPECT_EQ(Through(arrow::timestamp(arrow::TimeUnit::NANO), "[1]"),
            "TIMESTAMP_NS 1970-01-01 00:00:00.000000001");
  EXPECT_EQ(Through(arrow::timestamp(arrow::TimeUnit::MICRO, "Europe/Berlin"), "[0]"),
            "TIMESTAMP WITH TIME ZONE 1970-01-01 00:00:00+00");
  EXPECT_EQ(Through(arrow::duration(arrow::TimeUnit::SECOND), "[3600]"), "INTERVAL 01:00:00");
  EXPECT_EQ(Through(arrow::month_day_nano_interval(), "[[1, 2, 3000]]"),
            "INTERVAL 1 month 2 days 00:00:00.000003");
  // Beyond what DuckDB can hold: an error, not another time.
  EXPECT_THAT(Through(arrow::timestamp(arrow::TimeUnit::SECOND, "UTC"), "[9223372036854775807]"),
              HasSubstr("error"));
}

TEST_F(Types, Nested) {
  EXPECT_EQ(Through(arrow::list(arrow::int32()), "[[1, null], null, []]"), "INTEGER[] [1, NULL] ; NULL ; []");
  EXPECT_EQ(Through(arrow::large_list(arrow::utf8()), "[[\"a\"]]"), "VARCHAR[] [a]");
  EXPECT_EQ(Through(arrow::list_view(arrow::int32()), "[[1, 2], [3]]"), "INTEGER[] [1, 2] ; [3]");
  EXPECT_EQ(Through(arrow::fixed_size_list(arrow::int32(), 2), "[[1, 2], null]"), "INTEGER[2] [1, 2] ; NULL");
  EXPECT_EQ(Through(arrow::struct_(
                        {arrow::field("a", arrow::int32()), arrow::field("b", arrow::list(arrow::utf8()))}),
                    "[{\"a\": 1, \"b\": [\"x\", null]}, null]"),
            "STRUCT(a INTEGER, b VARCHAR[]) {'a': 1, 'b': [x, NULL]} ; NULL");
  EXPECT_EQ(Through(arrow::map(arrow::utf8(), arrow::int64()), "[[[\"k\", 1]], []]"),
            "MAP(VARCHAR, BIGINT) {k=1} ; {}");
  EXPECT_EQ(Through(arrow::list(arrow::dictionary(arrow::int8(), arrow::utf8())), "[[\"a\", \"b\", \"a\"]]"),
            "VARCHAR[] [a, b, a]");
}

TEST_F(Types, ExtensionsThatOnlyDuckDbMayMakeAreTakenAsTheyAreStored) {
  const auto column = *arrow::json::ArrayFromJSONString(arrow::binary(), "[\"x\"]");
  // The first byte of DuckDB's own BIT says how many bits of the next are none: any other value could make it
  // read what is not there.
  const auto metadata = arrow::KeyValueMetadata::Make(
      {"ARROW:extension:name", "ARROW:extension:metadata"},
      {"arrow.opaque", "{\"type_name\": \"bit\", \"vendor_name\": \"DuckDB\"}"});
  const auto schema = arrow::schema({arrow::field("v", arrow::binary(), true, metadata)});
  OneBatch source(arrow::RecordBatch::Make(schema, 1, {column}));
  IngestTarget target;
  target.table = "extended";
  const auto rows = connection_->Ingest(target, source);
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  EXPECT_EQ(Cell("SELECT typeof(v) FROM extended"), "BLOB");
}

TEST_F(Types, WhatDuckDbHasNotIsRefused) {
  EXPECT_THAT(Through(arrow::decimal256(60, 2), "[\"1.00\"]"), HasSubstr("error"));
  // A name that repeats, a list of nothing: whatever the answer, the engine lives.
  (void)Through(arrow::struct_({arrow::field("a", arrow::int32()), arrow::field("a", arrow::int32())}),
                "[[1, 2]]");
  (void)Through(arrow::struct_({}), "[{}]");
  (void)Through(arrow::list(arrow::null()), "[[null]]");
  (void)Through(arrow::float16(), "[1.5]");
  (void)Through(arrow::run_end_encoded(arrow::int32(), arrow::utf8()), "[\"a\", \"a\", \"b\"]");
  (void)Through(arrow::dense_union({arrow::field("i", arrow::int32()), arrow::field("s", arrow::utf8())}),
                "[[0, 1], [1, \"x\"]]");
  EXPECT_EQ(Cell("SELECT 42"), "42");
}

TEST_F(Types, EmptyResultsAndManyColumnsGoOut) {
  const auto empty = Query("SELECT 1::HUGEINT AS h, [1] AS l, {'a': 1} AS s, now() AS t WHERE false");
  ASSERT_TRUE(empty.has_value()) << empty.error().message;
  EXPECT_EQ((*empty)->num_rows(), 0);
  EXPECT_EQ((*empty)->schema()->field(0)->type()->ToString(), "decimal128(38, 0)");
  std::string wide = "SELECT 0 AS c0";
  for (int i = 1; i < 10'000; ++i) wide += ", " + std::to_string(i) + " AS c" + std::to_string(i);
  const auto many = Query(wide);
  ASSERT_TRUE(many.has_value()) << many.error().message;
  EXPECT_EQ((*many)->num_columns(), 10'000);
  EXPECT_EQ(Cell("SELECT 'infinity'::TIMESTAMP > now()"), "true");
  EXPECT_EQ(Cell("SELECT (2::HUGEINT ** 100)::HUGEINT"), "1267650600228229401496703205376");
}

}  // namespace
}  // namespace pondpilot::worker::engine
