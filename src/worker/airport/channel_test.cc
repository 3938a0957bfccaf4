// All connections of a client process share one channel, and so one session here. What one of them does must
// not hold up another.
#include <gmock/gmock.h>

#include "worker/airport/airport_fixture.h"

namespace pondpilot::worker::airport {
namespace {

using ::testing::HasSubstr;

class ChannelTest : public AirportTest {
 protected:
  // SQL as it is, over the channel that the scans use.
  arrow::Result<std::shared_ptr<arrow::Table>> TakeFlight(const std::string& sql) {
    return Scan(*fl::FlightDescriptor::Command(sql).SerializeToString());
  }
};

TEST_F(ChannelTest, ManyScansAreOpenAtTheSameTime) {
  Do("CREATE TABLE t AS SELECT i AS a FROM range(1000000) x(i)");
  std::vector<std::vector<fl::FlightEndpoint>> scans;
  for (int i = 0; i < 20; ++i) {
    const auto endpoints = Endpoints(PathTo("t"));
    ASSERT_TRUE(endpoints.ok()) << i << ": " << endpoints.status().ToString();
    ASSERT_GT(endpoints->size(), 1u);  // not read to its end yet: it holds a connection
    scans.push_back(*endpoints);
  }
  for (const auto& scan : scans) {
    int64_t rows = 0;
    for (const auto& endpoint : scan) rows += (*Read(endpoint.ticket))->num_rows();
    EXPECT_EQ(rows, 1'000'000);
  }
}

TEST_F(ChannelTest, AWriteGoesOnBesideAScanAlsoWhenTheSessionHasState) {
  Do("CREATE TABLE source AS SELECT i AS a FROM range(1000000) x(i)");
  Do("CREATE TABLE target (a BIGINT)");
  ASSERT_TRUE(TakeFlight("CREATE TEMP TABLE scratch (a INTEGER)").ok());
  // INSERT INTO target SELECT a FROM source: rows are written before the scan has ended.
  const auto endpoints = Endpoints(PathTo("source"));
  ASSERT_TRUE(endpoints.ok()) << endpoints.status().ToString();
  const auto done = Exchange("insert", "target", Batch({"a"}, {{1, 2, 3}}));
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  EXPECT_NE(Listed("memory", "main_", "target"), nullptr);
  int64_t rows = 0;
  for (const auto& endpoint : *endpoints) rows += (*Read(endpoint.ticket))->num_rows();
  EXPECT_EQ(rows, 1'000'000);
  // The state is the SQL's still.
  EXPECT_TRUE(TakeFlight("SELECT * FROM scratch").ok());
}

TEST_F(ChannelTest, SqlBeginsAndEndsNoTransaction) {
  Do("CREATE TABLE t (a BIGINT)");
  for (const char* sql :
       {"BEGIN", "BEGIN TRANSACTION READ ONLY", "COMMIT", "ROLLBACK", "INSERT INTO t VALUES (1); BEGIN",
        "BEGIN; INSERT INTO t VALUES (1); COMMIT", "/* */ bEgIn; SELECT 1", "PREPARE p AS BEGIN"}) {
    const auto info = client_->GetFlightInfo(Options(), fl::FlightDescriptor::Command(sql));
    ASSERT_TRUE(info.status().IsInvalid()) << sql << ": " << info.status().ToString();
    const auto run = TakeFlight(sql);
    ASSERT_TRUE(run.status().IsInvalid()) << sql << ": " << run.status().ToString();
    if (!std::string_view(sql).starts_with("PREPARE")) {
      EXPECT_THAT(run.status().message(), HasSubstr("airport has no transactions")) << sql;
    }
  }
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "0");
  const auto done = Exchange("insert", "t", Batch({"a"}, {{1}}));
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "1");
}

TEST_F(ChannelTest, AnotherDoorsOpenTransactionOnTheChannelTakesNoRowsIn) {
  Do("CREATE TABLE t (a BIGINT)");
  const auto plain = flight::Loopback::AsProxy("a");  // Flight SQL, over the same connection
  const auto info = client_->GetFlightInfo(plain, fl::FlightDescriptor::Command("BEGIN"));
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  ASSERT_TRUE((*client_->DoGet(plain, (*info)->endpoints()[0].ticket))->ToTable().ok());
  ASSERT_TRUE(Exchange("insert", "t", Batch({"a"}, {{1}})).ok());
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "1");
}

}  // namespace
}  // namespace pondpilot::worker::airport
