// Results as serialized chunks, and rows that are read from them.
#include <gmock/gmock.h>

#include "quack/chunk_check.h"
#include "quack/golden.h"
#include "quack/messages.h"
#include "worker/engine/engine_fixture.h"

namespace pondpilot::worker::engine {
namespace {

using quack::golden::Bytes;
using testing::HasSubstr;

constexpr uint64_t kUnit = 12;

class ChunksTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    Lock();
  }

  base::Result<std::vector<ChunkBatch>> All(const std::string& sql, ChunkVersion version) {
    auto stream = connection_->ExecuteChunks(sql, version, kUnit);
    if (!stream) return std::unexpected(stream.error());
    columns_ = (*stream)->columns();
    std::vector<ChunkBatch> batches;
    for (;;) {
      auto batch = (*stream)->Next();
      if (!batch) return std::unexpected(batch.error());
      if (!*batch) return batches;
      batches.push_back(std::move(**batch));
    }
  }
  static std::vector<std::string_view> Apart(const std::vector<ChunkBatch>& batches) {
    std::vector<std::string_view> chunks;
    for (const ChunkBatch& batch : batches) {
      size_t begin = 0;
      for (const size_t end : batch.ends) {
        chunks.push_back(std::string_view(batch.bytes).substr(begin, end - begin));
        begin = end;
      }
    }
    return chunks;
  }

  std::vector<ChunkStream::Column> columns_;
};

// What DuckDB 1.5.5 and 2.0.0 were seen to send of the same table is what is written here for them.
TEST_F(ChunksTest, AsRecorded) {
  Cell(
      "CREATE TABLE t (i INTEGER, s VARCHAR, d DECIMAL(10,2)); INSERT INTO t VALUES (1, 'a', 1.50), (2, "
      "NULL, 2.25), "
      "(3, 'a long string beyond twelve', NULL)");
  for (const auto& [version, recorded] : {std::pair{ChunkVersion::k1_5, quack::golden::kPreparedV1},
                                          std::pair{ChunkVersion::k2_0, quack::golden::kPreparedV3}}) {
    const auto batches = All("FROM t", version);
    ASSERT_TRUE(batches) << batches.error().message;
    ASSERT_EQ(batches->size(), 1u);
    EXPECT_EQ((*batches)[0].rows, 3u);
    EXPECT_THAT(Bytes(recorded), HasSubstr((*batches)[0].bytes));
    ASSERT_EQ(columns_.size(), 3u);
    EXPECT_EQ(columns_[2].name, "d");
    EXPECT_EQ(columns_[2].type, Bytes("640015650001640002c8000ac90002ffffffff"));
  }
}

TEST_F(ChunksTest, ManyRowsComeInUnits) {
  const auto batches = All("SELECT range AS a, 'row ' || range AS b FROM range(300000)", ChunkVersion::k2_0);
  ASSERT_TRUE(batches);
  uint64_t rows = 0;
  for (const ChunkBatch& batch : *batches) {
    EXPECT_LE(batch.ends.size(), kUnit);
    EXPECT_EQ(batch.ends.back(), batch.bytes.size());
    rows += batch.rows;
  }
  EXPECT_EQ(rows, 300000u);
  EXPECT_GE(batches->size(), 12u);
}

TEST_F(ChunksTest, StatementsWithoutRows) {
  const auto none = All("CREATE TABLE made (a INTEGER)", ChunkVersion::k1_5);
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_TRUE(none->empty());
  EXPECT_EQ(columns_.size(), 1u);
  const auto count = All("INSERT INTO made FROM range(5)", ChunkVersion::k1_5);
  ASSERT_TRUE(count);
  EXPECT_EQ((*count)[0].bytes, quack::CountChunk(5));
  EXPECT_THAT(All("SELECT nope", ChunkVersion::k2_0).error().message, HasSubstr("nope"));
  EXPECT_EQ(All("LOAD quack", ChunkVersion::k2_0).error().code, base::ErrorCode::kPermissionDenied);
  // Also when it shows in the middle.
  EXPECT_THAT(
      All("SELECT CASE WHEN range = 250000 THEN error('stop') END FROM range(300000)", ChunkVersion::k2_0)
          .error()
          .message,
      HasSubstr("stop"));
  EXPECT_EQ(Cell("SELECT count(*) FROM made"), "5");
}

// There and back: of every type that a client may send, the rows are the same.
TEST_F(ChunksTest, RowsAreReadAsTheyWereWritten) {
  Cell(
      "CREATE TABLE source AS SELECT CASE WHEN range % 7 <> 0 THEN range::INTEGER END AS i, 'text ' || range "
      "AS s, "
      "range % 2 = 0 AS b, (range / 3)::DECIMAL(18,3) AS d, range::HUGEINT AS h, range / 7 AS f, "
      "DATE '2020-01-01' + range::INTEGER AS day, TIMESTAMP '2020-01-01' + INTERVAL (range) SECOND AS t, "
      "TIMESTAMPTZ '2020-01-01 00:00:00+00' AS tz, TIME '12:00:00' AS tm, INTERVAL (range) MONTH AS iv, "
      "uuid() AS u, ('x' || range)::BLOB AS bl, '101'::BIT AS bits, [range, NULL, range + 1] AS l, "
      "{'a': range, 'b': ['x', NULL]} AS st, MAP {'k' || range: range} AS m, [range, 1]::BIGINT[2] AS ar, "
      "(['red', 'blue'])[1 + range % 2]::ENUM('red', 'blue') AS e, NULL::INTEGER AS nothing FROM "
      "range(5000)");
  for (const ChunkVersion version : {ChunkVersion::k1_5, ChunkVersion::k2_0}) {
    const auto batches = All("FROM source", version);
    ASSERT_TRUE(batches) << batches.error().message;
    for (const std::string_view chunk : Apart(*batches)) {
      const auto checked = quack::CheckChunk(chunk);
      ASSERT_TRUE(checked) << checked.error().message;
      EXPECT_EQ(*checked, chunk.size());
    }
    Cell("CREATE OR REPLACE TABLE target AS FROM source LIMIT 0");
    const auto written = connection_->InsertChunks(
        "INSERT INTO target SELECT * FROM scan_data_from_quack_client('id', "
        "NULL::STRUCT(col0 BIGINT), ordered := true)",
        Apart(*batches));
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(*written, 5000);
    EXPECT_EQ(Cell("SELECT count(*) FROM (FROM source EXCEPT ALL FROM target)"), "0");
    EXPECT_EQ(Cell("SELECT count(*) FROM (FROM target EXCEPT ALL FROM source)"), "0");
  }
}

TEST_F(ChunksTest, OnlyAnInsertReadsRows) {
  const std::string chunk = quack::CountChunk(7);
  const std::vector<std::string_view> chunks = {chunk};
  Cell("CREATE TABLE one (a BIGINT, b BIGINT)");
  for (const char* sql :
       {"SELECT * FROM scan_data_from_quack_client()", "INSERT INTO one VALUES (1, 2)",
        "CREATE TABLE x AS FROM scan_data_from_quack_client()", "INSERT INTO one FROM range(3)"}) {
    const auto refused = connection_->InsertChunks(sql, chunks);
    ASSERT_FALSE(refused) << sql;
    EXPECT_EQ(refused.error().code, base::ErrorCode::kInvalidArgument) << refused.error().message;
  }
  EXPECT_TRUE(
      connection_->InsertChunks("INSERT INTO one (b) SELECT * FROM scan_data_from_quack_client()", chunks));
  EXPECT_EQ(Cell("SELECT b FROM one"), "7");
  EXPECT_THAT(ErrorOf("INSERT INTO one (b) SELECT * FROM scan_data_from_quack_client()").message,
              HasSubstr("scan_data_from_quack_client"));
}

TEST_F(ChunksTest, AReaderMayStop) {
  {
    auto stream = connection_->ExecuteChunks("SELECT * FROM range(100000000)", ChunkVersion::k2_0, kUnit);
    ASSERT_TRUE(stream);
    ASSERT_TRUE((*stream)->Next());
    (*stream)->Cancel();
    EXPECT_EQ((*stream)->Next().error().code, base::ErrorCode::kCancelled);
  }
  EXPECT_EQ(Cell("SELECT 42"), "42");
}

}  // namespace
}  // namespace pondpilot::worker::engine
