// Rows are written by identifiers that were read before, in another transaction. Whatever becomes of the
// table in between, no other row is written.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "worker/airport/airport_fixture.h"

namespace pondpilot::worker::airport {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

class RowIdsTest : public AirportTest {
 protected:
  // The client tries other errors again without a new scan.
  static void ExpectMoved(const arrow::Status& status) {
    EXPECT_THAT(status.ToString(), HasSubstr("The rows may have moved since they were read"));
    const auto detail = fl::FlightStatusDetail::UnwrapStatus(status);
    EXPECT_FALSE(detail && detail->code() == fl::FlightStatusCode::Internal) << status.ToString();
  }
  int64_t Number(const std::string& sql) { return std::stoll(Value(sql)); }

  // DuckDB compacts row groups; three of them, mostly removed, become one.
  static constexpr char kLarge[] = "CREATE TABLE t AS SELECT i AS a, 0::BIGINT AS b FROM range(300000) x(i)";
  static constexpr char kMostlyRemoved[] = "DELETE FROM t WHERE a % 4 <> 0";
};

TEST_F(RowIdsTest, AScanGivesThemAsTheyAreTakenAndNoBareNumberIs) {
  Do("CREATE TABLE t AS SELECT i AS a, i AS b FROM range(3) x(i)");
  EXPECT_THAT(RowIdsOf("t"), Each(::testing::Gt(int64_t{1} << 36)));
  EXPECT_EQ(RowIdsOf("t"), RowIdsOf("t"));
  ExpectMoved(Exchange("delete", "t", Batch({"rowid"}, {{0}})).status());
  ExpectMoved(Exchange("update", "t", Batch({"b", "rowid"}, {{9}, {1}})).status());
  EXPECT_EQ(Value("SELECT string_agg(a || ':' || b, ' ' ORDER BY a) FROM t"), "0:0 1:1 2:2");
}

TEST_F(RowIdsTest, AfterACheckpointHasMovedRowsTheyNameNone) {
  Do(kLarge);
  const auto ids = RowIdsOf("t");
  ASSERT_EQ(ids.size(), 300'000u);
  const int64_t before = Number("SELECT rowid FROM t WHERE a = 200000");
  Do(kMostlyRemoved);
  Do("CHECKPOINT");
  // What this is about: DuckDB's own number names another row now, or none.
  ASSERT_NE(Number("SELECT rowid FROM t WHERE a = 200000"), before);
  ASSERT_NE(Value("SELECT a FROM t WHERE rowid = 30000"), "30000");
  ExpectMoved(Exchange("update", "t", Batch({"b", "rowid"}, {{1}, {ids[200'000]}})).status());
  ExpectMoved(Exchange("delete", "t", Batch({"rowid"}, {{ids[30'000]}})).status());
  EXPECT_EQ(Value("SELECT count(*) || ' ' || sum(b) FROM t"), "75000 0");
  // Read anew, they do.
  const auto anew = RowIdsOf("t");
  ASSERT_EQ(anew.size(), 75'000u);
  const auto done = Exchange("update", "t", Batch({"b", "rowid"}, {{7}, {anew[50'000]}}));
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  EXPECT_EQ(Value("SELECT a FROM t WHERE b = 7"), "200000");
}

TEST_F(RowIdsTest, ATableThatWasEmptiedAndFilledAgainHasOtherOnes) {
  for (const char* emptied : {"TRUNCATE t", "DELETE FROM t"}) {
    Do("CREATE OR REPLACE TABLE t AS SELECT i AS a, 0::BIGINT AS b FROM range(10) x(i)");
    const auto ids = RowIdsOf("t");
    ASSERT_EQ(ids.size(), 10u);
    Do(emptied);
    Do("CHECKPOINT");
    Do("INSERT INTO t SELECT i + 100, 0 FROM range(10) x(i)");
    EXPECT_FALSE(Exchange("update", "t", Batch({"b", "rowid"}, {{1}, {ids[5]}})).ok()) << emptied;
    EXPECT_FALSE(Exchange("delete", "t", Batch({"rowid"}, {{ids[0]}})).ok()) << emptied;
    EXPECT_EQ(Value("SELECT count(*) || ' ' || sum(b) FROM t"), "10 0") << emptied;
  }
}

TEST_F(RowIdsTest, ATableThatWasMadeAnewOrAlteredHasOtherOnes) {
  for (const char* sql :
       {"CREATE OR REPLACE TABLE t AS SELECT i + 100 AS a, 0::BIGINT AS b FROM range(10) x(i)",
        "ALTER TABLE t ALTER a SET DATA TYPE INTEGER", "ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 5"}) {
    Do("CREATE OR REPLACE TABLE t AS SELECT i AS a, 0::BIGINT AS b FROM range(10) x(i)");
    const auto ids = RowIdsOf("t");
    ASSERT_EQ(ids.size(), 10u);
    Do(sql);
    ExpectMoved(Exchange("update", "t", Batch({"b", "rowid"}, {{1}, {ids[5]}})).status());
    EXPECT_EQ(Value("SELECT count(*) || ' ' || sum(b) FROM t"), "10 0") << sql;
  }
}

TEST_F(RowIdsTest, ThoseOfAnotherTableNameNoRow) {
  Do("CREATE TABLE t AS SELECT i AS a FROM range(3) x(i)");
  Do("CREATE TABLE u AS SELECT i AS a FROM range(3) x(i)");
  const auto ids = RowIdsOf("u");
  ASSERT_EQ(ids.size(), 3u);
  ASSERT_EQ(RowIdsOf("t").size(), 3u);
  ExpectMoved(Exchange("delete", "t", Batch({"rowid"}, {{ids[0]}})).status());
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "3");
}

TEST_F(RowIdsTest, RowsAddedMeanwhileChangeNothing) {
  Do("CREATE TABLE t AS SELECT i AS a, 0::BIGINT AS b FROM range(10) x(i)");
  const auto ids = RowIdsOf("t");
  ASSERT_EQ(ids.size(), 10u);
  Do("INSERT INTO t SELECT i + 10, 0 FROM range(200000) x(i)");
  Do("DELETE FROM t WHERE a = 3");
  const auto done = Exchange("update", "t", Batch({"b", "rowid"}, {{1}, {ids[5]}}));
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  EXPECT_EQ(Value("SELECT a FROM t WHERE b = 1"), "5");
}

TEST_F(RowIdsTest, CompactionAtTheSameTimeNeverChangesAnotherRow) {
  Do("CREATE TABLE t AS SELECT i AS a, -1::BIGINT AS b FROM range(400000) x(i)");
  std::atomic<bool> stop{false};
  std::atomic<int> compacted{0};
  std::thread vacuum([&] {
    const auto client = server_.Connect();
    const auto run = [&](const std::string& sql) {
      const auto options = flight::Loopback::AsProxy("vacuum");
      const auto info = client->GetFlightInfo(options, fl::FlightDescriptor::Command(sql));
      if (!info.ok()) return false;
      const auto reader = client->DoGet(options, (*info)->endpoints()[0].ticket);
      return reader.ok() && (*reader)->ToTable().ok();
    };
    for (int i = 0; !stop; ++i) {
      run("DELETE FROM t WHERE a % 8 = " + std::to_string(i % 7 + 1));
      if (run("CHECKPOINT")) ++compacted;
      run("INSERT INTO t SELECT i, -1 FROM range(400000) x(i) WHERE i % 8 = " + std::to_string(i % 7 + 1));
    }
  });
  int written = 0;
  int refused = 0;
  for (int round = 0; round < 40 || (written == 0 || refused == 0 || compacted < 3); ++round) {
    ASSERT_LT(round, 2000) << written << " " << refused << " " << compacted;
    // a of these rows never changes, and b is always a once it is written.
    const auto rows = Scan(PathTo("t"), {{"column_ids", {0, UINT64_MAX}}});
    ASSERT_TRUE(rows.ok()) << rows.status().ToString();
    const auto all = *(*rows)->CombineChunksToBatch();
    const auto& a = static_cast<const arrow::Int64Array&>(*all->GetColumnByName("a"));
    const auto& id = static_cast<const arrow::Int64Array&>(*all->GetColumnByName("rowid"));
    std::vector<int64_t> values;
    std::vector<int64_t> ids;
    for (int64_t i = round; i < all->num_rows() && values.size() < 100; i += 1009) {
      if (a.Value(i) % 8 != 0) continue;
      values.push_back(a.Value(i));
      ids.push_back(id.Value(i));
    }
    if (values.empty()) continue;
    const auto done = Exchange("update", "t", Batch({"b", "rowid"}, {values, ids}));
    if (done.ok()) {
      ++written;
    } else {
      ++refused;
    }
  }
  stop = true;
  vacuum.join();
  EXPECT_GT(Number("SELECT count(*) FROM t WHERE b <> -1"), 0);
  EXPECT_EQ(Number("SELECT count(*) FROM t WHERE b <> -1 AND b <> a"), 0);
}

}  // namespace
}  // namespace pondpilot::worker::airport
