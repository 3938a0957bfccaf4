#include "worker/airport/airport_door.h"

#include <gmock/gmock.h>

#include <thread>

#include "base/secret.h"
#include "contract/names.h"
#include "worker/airport/airport_fixture.h"

namespace pondpilot::worker::airport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Message kAll = {{"catalog_name", ""}};
const Message kOwn = {{"catalog_name", "memory"}};

std::string Serialized(const std::shared_ptr<arrow::Schema>& schema) {
  return (*arrow::ipc::SerializeSchema(*schema))->ToString();
}

// ---- What there is

TEST_F(AirportTest, ATransactionHasTheIdentifierThatTheProxyMade) {
  EXPECT_EQ(Told("create_transaction", kAll, {{contract::kCallIdentifierHeader, "made.by-the-proxy"}}),
            (Message{{"identifier", "made.by-the-proxy"}}));
  EXPECT_EQ(Told("create_transaction", kAll), (Message{{"identifier", nullptr}}));
}

TEST_F(AirportTest, TheListIsWhatTheClientReads) {
  Do("CREATE TABLE t (a INTEGER NOT NULL DEFAULT 7, b VARCHAR)");
  Do("COMMENT ON TABLE t IS 'of things'");
  Do("COMMENT ON COLUMN t.b IS 'their name'");
  const auto bodies = Act("list_schemas", kOwn);
  ASSERT_TRUE(bodies.ok()) << bodies.status().ToString();
  ASSERT_EQ(bodies->size(), 1u);
  const Message root = Inflate((*bodies)[0]);
  EXPECT_EQ(root.at("contents"), (Message{{"sha256", ""}, {"url", nullptr}, {"serialized", nullptr}}));
  EXPECT_EQ(root.at("version_info"), Told("catalog_version", kOwn));
  ASSERT_EQ(root.at("schemas").size(), 1u);
  const Message& schema = root.at("schemas").at(0);
  EXPECT_EQ(schema.at("name"), "main_");
  EXPECT_EQ(schema.at("tags"), Message::object());
  EXPECT_EQ(schema.at("is_default"), true);
  const std::string serialized = BytesOf(schema.at("contents").at("serialized"));
  EXPECT_EQ(schema.at("contents").at("sha256"), base::Sha256Hex(serialized));
  const auto info = Listed("memory", "main_", "t");
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(info->descriptor(), fl::FlightDescriptor::Path({"memory", "main", "t"}));
  const Message metadata = *Unpack(info->app_metadata());
  EXPECT_EQ(metadata.at("type"), "table");
  EXPECT_EQ(metadata.at("catalog"), "memory");
  EXPECT_EQ(metadata.at("schema"), "main_");
  EXPECT_EQ(metadata.at("comment"), "of things");
  EXPECT_TRUE(metadata.at("input_schema").is_null());
  arrow::ipc::DictionaryMemo memo;
  const auto columns = *info->GetSchema(&memo);
  EXPECT_THAT(columns->field_names(), ElementsAre("a", "b", "rowid"));
  EXPECT_FALSE(columns->field(0)->nullable());
  EXPECT_EQ(*columns->field(0)->metadata()->Get("default"), "7");
  EXPECT_EQ(*columns->field(1)->metadata()->Get("comment"), "their name");
  EXPECT_FALSE(columns->field(2)->metadata()->Get("is_rowid")->empty());
}

TEST_F(AirportTest, TheCatalogOfAllNamesDatabasesAndSchemas) {
  Do("CREATE TABLE t (a INTEGER)");
  const auto info = Listed("", "memory.main", "t");
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(Unpack(info->app_metadata())->at("catalog"), "");
  EXPECT_EQ(Unpack(info->app_metadata())->at("schema"), "memory.main");
}

TEST_F(AirportTest, ACatalogThatIsNotThereIsSaidToBeMissing) {
  for (const char* action : {"list_schemas", "catalog_version"}) {
    const auto bodies = Act(action, {{"catalog_name", "nowhere"}});
    ASSERT_TRUE(bodies.status().IsKeyError()) << bodies.status().ToString();
    EXPECT_THAT(bodies.status().message(), HasSubstr("nowhere"));
  }
}

TEST_F(AirportTest, TheVersionMovesWithEveryChangeFromAnywhere) {
  std::vector<Message> seen{Told("catalog_version", kOwn)};
  for (const char* sql :
       {"CREATE TABLE t (a INTEGER)", "ALTER TABLE t ADD COLUMN b VARCHAR", "COMMENT ON TABLE t IS 'x'",
        "ALTER TABLE t ALTER a SET DEFAULT 5", "CREATE SCHEMA s", "CREATE VIEW s.v AS SELECT 1 AS one",
        "ALTER TABLE t RENAME TO u", "DROP VIEW s.v", "ALTER TABLE u ALTER a SET NOT NULL"}) {
    Do(sql);
    seen.push_back(Told("catalog_version", kOwn));
    EXPECT_EQ(seen.back(), Told("catalog_version", kOwn)) << sql;
    for (size_t i = 0; i + 1 < seen.size(); ++i) EXPECT_NE(seen[i], seen.back()) << sql << " " << i;
  }
  Do("INSERT INTO u VALUES (1, 'x')");
  EXPECT_EQ(Told("catalog_version", kOwn), seen.back());
}

TEST_F(AirportTest, ViewsAreReadLikeTablesAndHaveNoRowIds) {
  Do("CREATE TABLE t AS SELECT i AS a FROM range(3) x(i)");
  Do("CREATE VIEW v AS SELECT a * 2 AS double FROM t");
  Do("CREATE VIEW broken AS SELECT * FROM t");
  Do("DROP TABLE t");
  Do("CREATE TABLE t AS SELECT i AS a FROM range(3) x(i)");
  const auto info = Listed("memory", "main_", "v");
  ASSERT_NE(info, nullptr);
  arrow::ipc::DictionaryMemo memo;
  EXPECT_THAT((*info->GetSchema(&memo))->field_names(), ElementsAre("double"));
  const auto rows = Scan(PathTo("v"));
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_EQ((*rows)->num_rows(), 3);
}

TEST_F(AirportTest, TemporaryTablesAreNotServed) {
  Do("CREATE TEMP TABLE scratch (a INTEGER)");
  EXPECT_EQ(Listed("", "temp.main", "scratch"), nullptr);
  EXPECT_FALSE(Scan(*fl::FlightDescriptor::Path({"temp", "main", "scratch"}).SerializeToString()).ok());
}

// ---- Reading

TEST_F(AirportTest, AScanHasAllColumnsAndValuesOfThoseAskedFor) {
  Do("CREATE TABLE t AS SELECT i AS a, 'n' || i AS b, i * 1.5 AS c FROM range(5) x(i)");
  const auto rows = Scan(PathTo("t"), {{"column_ids", {1}}});
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_THAT((*rows)->ColumnNames(), ElementsAre("a", "b", "c", "rowid"));
  EXPECT_EQ((*rows)->column(0)->null_count(), 5);
  EXPECT_EQ((*rows)->column(1)->null_count(), 0);
  EXPECT_EQ((*rows)->column(2)->null_count(), 5);
  EXPECT_EQ((*rows)->column(3)->null_count(), 5);
  const auto with_ids = Scan(PathTo("t"), {{"column_ids", {UINT64_MAX}}});
  EXPECT_EQ((*with_ids)->column(3)->null_count(), 0);
  // Nothing at all but their number, as for count(*).
  EXPECT_EQ((*Scan(PathTo("t"), {{"column_ids", {uint64_t{1} << 63}}}))->num_rows(), 5);
  EXPECT_EQ((*Scan(PathTo("t")))->column(2)->null_count(), 0);
}

TEST_F(AirportTest, EveryTypeComesAsItIsListed) {
  Do("CREATE TYPE mood AS ENUM ('sad', 'ok')");
  Do("CREATE TABLE t AS SELECT * FROM test_all_types()");
  Do("ALTER TABLE t ADD COLUMN m mood");
  const auto info = Listed("memory", "main_", "t");
  ASSERT_NE(info, nullptr);
  arrow::ipc::DictionaryMemo memo;
  const auto listed = *info->GetSchema(&memo);
  for (const Message& parameters : {Message::object(), Message{{"column_ids", {0}}}}) {
    const auto rows = Scan(PathTo("t"), parameters);
    ASSERT_TRUE(rows.ok()) << rows.status().ToString();
    EXPECT_EQ((*rows)->num_rows(), 3);
    for (int i = 0; i < listed->num_fields(); ++i) {
      EXPECT_TRUE((*rows)->schema()->field(i)->type()->Equals(*listed->field(i)->type()))
          << listed->field(i)->ToString() << " came as " << (*rows)->schema()->field(i)->ToString();
    }
  }
  // DuckDB makes its own types of these again.
  EXPECT_EQ(listed->GetFieldByName("uuid")->type()->ToString(), "extension<arrow.uuid>");
  EXPECT_NE(listed->GetFieldByName("hugeint")->type()->id(), arrow::Type::DECIMAL128);
}

TEST_F(AirportTest, ATableWithoutRowsHasNoEndpoints) {
  Do("CREATE TABLE t (a INTEGER)");
  const auto bodies =
      Act("endpoints", {{"descriptor", Binary(PathTo("t"))}, {"parameters", Message::object()}});
  ASSERT_TRUE(bodies.ok());
  EXPECT_THAT(*bodies, ElementsAre("\x90"));
}

TEST_F(AirportTest, LargeTablesAreReadInParallelAndOfOneMoment) {
  Do("CREATE TABLE t AS SELECT i AS a FROM range(3000000) x(i)");
  const auto endpoints = Endpoints(PathTo("t"));
  ASSERT_TRUE(endpoints.ok()) << endpoints.status().ToString();
  ASSERT_EQ(endpoints->size(), AirportDoor::kParallelReads);
  Do("INSERT INTO t SELECT i FROM range(1000) x(i)");
  Do("DELETE FROM t WHERE a % 2 = 0");
  std::vector<int64_t> counts(endpoints->size());
  std::vector<int64_t> sums(endpoints->size());
  std::vector<double> progress(endpoints->size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < endpoints->size(); ++i) {
    threads.emplace_back([&, i] {
      auto reader = client_->DoGet(Options(), (*endpoints)[i].ticket);
      ASSERT_TRUE(reader.ok());
      for (;;) {
        const auto chunk = (*reader)->Next();
        ASSERT_TRUE(chunk.ok()) << chunk.status().ToString();
        if (chunk->data == nullptr) break;
        const auto& column = static_cast<const arrow::Int64Array&>(*chunk->data->column(0));
        counts[i] += column.length();
        for (int64_t row = 0; row < column.length(); ++row) sums[i] += column.Value(row);
        ASSERT_NE(chunk->app_metadata, nullptr);
        const double at = Unpack(chunk->app_metadata->ToString())->at("progress").get<double>();
        EXPECT_GT(at, progress[i]);
        EXPECT_LE(at, 1.0);
        progress[i] = at;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), int64_t{0}), 3'000'000);
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), int64_t{0}), int64_t{3'000'000} * 2'999'999 / 2);
  EXPECT_DOUBLE_EQ(*std::ranges::max_element(progress), 1.0);
}

TEST_F(AirportTest, ATicketThatComesLastFindsNoRowsLeft) {
  Do("CREATE TABLE t AS SELECT i AS a FROM range(3000000) x(i)");
  const auto rows = Scan(PathTo("t"));  // one after the other
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_EQ((*rows)->num_rows(), 3'000'000);
}

TEST_F(AirportTest, ATicketWorksOnce) {
  Do("CREATE TABLE t AS SELECT 1 AS a");
  const auto endpoints = *Endpoints(PathTo("t"));
  EXPECT_TRUE(Read(endpoints[0].ticket).ok());
  const auto again = Read(endpoints[0].ticket);
  EXPECT_TRUE(again.status().IsKeyError()) << again.status().ToString();
  for (const char* made_up :
       {"pondpilot:scan:", "pondpilot:scan:x:0", "pondpilot:scan:x:99", "pondpilot:scan::-1"})
    EXPECT_FALSE(Read(fl::Ticket{made_up}).ok()) << made_up;
}

TEST_F(AirportTest, FiltersLeaveOutWhatTheClientWould) {
  Do("CREATE TABLE t AS SELECT i AS a FROM range(1000) x(i)");
  const std::string filters =
      R"({"filters": [{"expression_class": "BOUND_COMPARISON", "type": "COMPARE_LESSTHAN",
    "alias": "", "left": {"expression_class": "BOUND_COLUMN_REF", "type": "BOUND_COLUMN_REF", "alias": "",
    "return_type": {"id": "BIGINT", "type_info": null}, "binding": {"table_index": 0, "column_index": 0}, "depth": 0},
    "right": {"expression_class": "BOUND_CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "value":
    {"type": {"id": "BIGINT", "type_info": null}, "is_null": false, "value": 10}}}],
    "column_binding_names_by_index": ["a"]})";
  EXPECT_EQ((*Scan(PathTo("t"), {{"json_filters", filters}, {"column_ids", {0}}}))->num_rows(), 10);
  EXPECT_EQ((*Scan(PathTo("t"), {{"json_filters", "no JSON"}}))->num_rows(), 1000);
  EXPECT_EQ((*Scan(PathTo("t"), {{"json_filters", ""}}))->num_rows(), 1000);
}

TEST_F(AirportTest, DescriptorsThatAreNoneAreRefused) {
  for (const std::string& bytes :
       {std::string("\xff\xff"), std::string(), *fl::FlightDescriptor::Path({"a"}).SerializeToString(),
        *fl::FlightDescriptor::Path({"a", "b", "c", "d"}).SerializeToString()}) {
    EXPECT_TRUE(Endpoints(bytes).status().IsInvalid() || Endpoints(bytes).status().IsIOError())
        << Endpoints(bytes).status().ToString();
  }
  EXPECT_TRUE(Endpoints(PathTo("nothing")).status().IsKeyError());
  EXPECT_TRUE(Act("endpoints", Message::object()).status().IsInvalid());
  EXPECT_TRUE(ActWith("endpoints", "\xc1").status().IsInvalid());
  EXPECT_TRUE(ActWith("endpoints", "").status().IsInvalid());
}

// ---- SQL as it is

TEST_F(AirportTest, SqlIsPlannedFirstAndRunOnce) {
  Do("CREATE TABLE t (a INTEGER)");
  const auto describe = [&](const std::string& sql) {
    return client_->GetFlightInfo(Options(), fl::FlightDescriptor::Command(sql));
  };
  const std::string insert = "INSERT INTO t VALUES (1), (2)";
  const auto info = describe(insert);
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_EQ((*info)->descriptor().cmd, insert);
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "0");
  const auto counted = Scan(*fl::FlightDescriptor::Command(insert).SerializeToString());
  ASSERT_TRUE(counted.ok()) << counted.status().ToString();
  EXPECT_EQ((*(*counted)->column(0)->GetScalar(0))->ToString(), "2");
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "2");
  const std::string query = "SELECT a, uuid() AS u FROM t ORDER BY a DESC";
  arrow::ipc::DictionaryMemo memo;
  const auto promised = *(*describe(query))->GetSchema(&memo);
  const auto rows = *Scan(*fl::FlightDescriptor::Command(query).SerializeToString());
  EXPECT_TRUE(rows->schema()->Equals(*promised)) << rows->schema()->ToString() << promised->ToString();
  EXPECT_EQ((*rows->column(0)->GetScalar(0))->ToString(), "2");
  EXPECT_FALSE(describe("SELECT nothing").ok());
  EXPECT_FALSE(describe("ATTACH '/etc/passwd' AS p").ok());
  EXPECT_TRUE(Scan(*fl::FlightDescriptor::Command("SELECT ?").SerializeToString()).status().IsInvalid());
}

TEST_F(AirportTest, TheTableOfAPathIsDescribed) {
  Do("CREATE TABLE t (a INTEGER)");
  const auto info = client_->GetFlightInfo(Options({{kCatalogHeader, "memory"}}),
                                           fl::FlightDescriptor::Path({"memory", "main", "t"}));
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_EQ(Unpack((*info)->app_metadata())->at("schema"), "main_");
  const auto bodies =
      Act("flight_info", {{"descriptor", Binary(PathTo("t"))}, {"at_unit", ""}, {"at_value", ""}});
  ASSERT_TRUE(bodies.ok());
  EXPECT_EQ((*fl::FlightInfo::Deserialize(bodies->at(0)))->descriptor(), (*info)->descriptor());
  EXPECT_TRUE(Act("flight_info", {{"descriptor", Binary(PathTo("t"))}, {"at_value", "1"}})
                  .status()
                  .IsNotImplemented());
}

// ---- Who may

TEST_F(AirportTest, AnIdentifierReadsAndWritesTablesAndNothingElse) {
  Do("CREATE TABLE t AS SELECT 1 AS a");
  const Headers by_identifier = {{contract::kByIdentifierHeader, "1"}};
  EXPECT_TRUE(Scan(PathTo("t"), {}, by_identifier).ok());
  EXPECT_TRUE(Act("column_statistics",
                  {{"flight_descriptor", Binary(PathTo("t"))}, {"column_name", "a"}, {"type", "INTEGER"}},
                  by_identifier)
                  .ok());
  const auto refused = [&](const arrow::Status& status) {
    const auto detail = fl::FlightStatusDetail::UnwrapStatus(status);
    EXPECT_TRUE(detail && detail->code() == fl::FlightStatusCode::Unauthenticated) << status.ToString();
  };
  refused(Scan(*fl::FlightDescriptor::Command("SELECT 42").SerializeToString(), {}, by_identifier).status());
  refused(
      client_->GetFlightInfo(Options(by_identifier), fl::FlightDescriptor::Command("SELECT 42")).status());
  for (const char* action :
       {"create_transaction", "list_schemas", "catalog_version", "create_schema", "drop_table", "add_column",
        "CreatePreparedStatement", "BeginTransaction", "CloseSession"}) {
    refused(Act(action, kOwn, by_identifier).status());
  }
  refused(Read(fl::Ticket{"pondpilot:result:x"}, by_identifier).status());
}

TEST_F(AirportTest, ActionsAreListed) {
  const auto actions = *client_->ListActions(Options());
  const auto lists = [&](const char* name) {
    return std::ranges::any_of(actions, [&](const auto& one) { return one.type == name; });
  };
  EXPECT_TRUE(lists("list_schemas"));
  EXPECT_TRUE(lists("remove_column"));
  EXPECT_TRUE(lists("BeginTransaction"));
}

// ---- Statistics

Message Statistics(const std::string& table, const std::string& column) {
  return {{"flight_descriptor",
           Binary(*fl::FlightDescriptor::Path({"memory", "main", table}).SerializeToString())},
          {"column_name", column},
          {"type", ""}};
}

TEST_F(AirportTest, NoTableOffersStatistics) {
  Do("CREATE TABLE t (a INTEGER, j JSON, s VARCHAR)");
  arrow::ipc::DictionaryMemo memo;
  const auto columns = *Listed("memory", "main_", "t")->GetSchema(&memo);
  EXPECT_TRUE(columns->metadata() == nullptr || !columns->metadata()->Contains("can_produce_statistics"));
}

TEST_F(AirportTest, StatisticsSayNothingThatLaterRowsContradict) {
  Do("CREATE TABLE t AS SELECT i::INTEGER AS a, CAST('[' || i || ']' AS JSON) AS j, 'n' || i AS s, "
     "chr(0) || i AS z, i::DOUBLE AS d, 'b' || i AS l FROM range(10) x(i)");
  const auto row = [&](const std::string& column) {
    const auto bodies = Act("column_statistics", Statistics("t", column));
    EXPECT_TRUE(bodies.ok()) << column << ": " << bodies.status().ToString();
    if (!bodies.ok()) return std::shared_ptr<arrow::RecordBatch>();
    arrow::io::BufferReader reader(arrow::Buffer::FromString(bodies->at(0)));
    std::shared_ptr<arrow::RecordBatch> batch;
    EXPECT_TRUE((*arrow::ipc::RecordBatchStreamReader::Open(&reader))->ReadNext(&batch).ok());
    return batch;
  };
  for (const char* column : {"a", "j", "s", "z", "d", "l"}) {
    const auto told = row(column);
    ASSERT_NE(told, nullptr);
    EXPECT_THAT(told->schema()->field_names(),
                ElementsAre("min", "max", "has_not_null", "has_null", "distinct_count"));
    std::vector<std::string> values;
    for (const auto& array : told->columns()) values.push_back((*array->GetScalar(0))->ToString());
    EXPECT_EQ(values[2] + values[3] + values[4], "truetrue0") << column;
    if (told->column(0)->type_id() == arrow::Type::STRING) {
      EXPECT_EQ(values[0], "");
      EXPECT_GT(values[1], "\xF4\x8F\xBF\xBF\xF4\x8F\xBF\xBF\xF4\x8F\xBF");
      EXPECT_GE(values[1].size(), 16u);
    } else {
      EXPECT_EQ(values[0] + values[1], "nullnull") << column;
    }
  }
  EXPECT_TRUE(row("a")->column(0)->type()->Equals(arrow::int32()));
  EXPECT_TRUE(Act("column_statistics", Statistics("t", "nothing")).status().IsKeyError());
  EXPECT_TRUE(Act("column_statistics", Statistics("nothing", "a")).status().IsKeyError());
}

// ---- Writing

TEST_F(AirportTest, RowsAreInserted) {
  Do("CREATE TABLE t (a BIGINT, b BIGINT, twice BIGINT GENERATED ALWAYS AS (a * 2))");
  const auto done = Exchange("insert", "t", Batch({"a", "b", "twice"}, {{1, 2, 3}, {10, 20, 30}, {0, 0, 0}}));
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  EXPECT_EQ(*done, (Message{{"total_changed", 3}}));
  EXPECT_EQ(Value("SELECT string_agg(a || ':' || b || ':' || twice, ' ' ORDER BY a) FROM t"),
            "1:10:2 2:20:4 3:30:6");
}

TEST_F(AirportTest, RowsAreChangedAndRemovedByTheirIds) {
  Do("CREATE TABLE t AS SELECT i AS a, i * 10 AS b FROM range(5) x(i)");
  const auto ids = RowIdsOf("t");
  ASSERT_EQ(ids.size(), 5u);
  auto done = Exchange("update", "t", Batch({"b", "rowid"}, {{-1, -4}, {ids[1], ids[4]}}));
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  EXPECT_EQ(*done, (Message{{"total_changed", 2}}));
  done = Exchange("delete", "t", Batch({"rowid"}, {{ids[0], ids[2]}}));
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  EXPECT_EQ(*done, (Message{{"total_changed", 2}}));
  EXPECT_EQ(Value("SELECT string_agg(a || ':' || b, ' ' ORDER BY a) FROM t"), "1:-1 3:30 4:-4");
}

TEST_F(AirportTest, RowsComeBackWhenTheyAreWanted) {
  Do("CREATE TABLE t (a BIGINT, b BIGINT, c BIGINT)");
  std::vector<std::shared_ptr<arrow::RecordBatch>> back;
  auto done = Exchange("insert", "t", Batch({"a", "b", "c"}, {{1, 2}, {3, 4}, {5, 6}}), true, &back);
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  ASSERT_EQ(back.size(), 1u);
  EXPECT_THAT(back[0]->schema()->field_names(), ElementsAre("a", "b", "c", "rowid"));
  EXPECT_EQ(back[0]->num_rows(), 2);
  back.clear();
  const auto ids = RowIdsOf("t");
  ASSERT_EQ(ids.size(), 2u);
  done = Exchange("update", "t", Batch({"c", "rowid"}, {{7}, {ids[1]}}), true, &back);
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  ASSERT_EQ(back.size(), 1u);
  EXPECT_THAT(back[0]->schema()->field_names(), ElementsAre("c", "rowid", "a", "b"));
  EXPECT_EQ((*back[0]->column(0)->GetScalar(0))->ToString(), "7");
  EXPECT_EQ((*back[0]->column(2)->GetScalar(0))->ToString(), "2");
  back.clear();
  done = Exchange("delete", "t", Batch({"rowid"}, {{ids[0]}}), true, &back);
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ((*back[0]->column(0)->GetScalar(0))->ToString(), "1");
}

TEST_F(AirportTest, AllRowsAreWrittenOrNone) {
  Do("CREATE TABLE t (a BIGINT PRIMARY KEY, b BIGINT)");
  Do("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)");
  EXPECT_FALSE(Exchange("insert", "t", Batch({"a", "b"}, {{9, 1}, {9, 1}})).ok());
  const auto ids = RowIdsOf("t");
  ASSERT_EQ(ids.size(), 3u);
  const auto gone = [](const arrow::Status& status) {
    EXPECT_THAT(status.ToString(), HasSubstr("Of 2 rows 1 were no longer there"));
  };
  gone(Exchange("delete", "t", Batch({"rowid"}, {{ids[0], ids[0] + 77}})).status());
  gone(Exchange("update", "t", Batch({"b", "rowid"}, {{5, 5}, {ids[0], ids[0] + 77}})).status());
  EXPECT_EQ(Value("SELECT string_agg(a || ':' || b, ' ' ORDER BY a) FROM t"), "1:1 2:2 3:3");
}

TEST_F(AirportTest, AWriteThatBreaksOffWritesNothing) {
  Do("CREATE TABLE t AS SELECT i AS a, i AS b FROM range(5) x(i)");
  const auto ids = RowIdsOf("t");
  ASSERT_EQ(ids.size(), 5u);
  const std::vector<std::pair<std::string, std::shared_ptr<arrow::RecordBatch>>> writes = {
      {"insert", Batch({"a", "b"}, {{7}, {7}})},
      {"update", Batch({"b", "rowid"}, {{9}, {ids[1]}})},
      {"delete", Batch({"rowid"}, {{ids[2]}})}};
  for (const auto& [operation, batch] : writes) {
    // With answers the first batch is written when its answer has come, inside the transaction.
    for (const bool answers : {false, true}) {
      for (const bool cancels : {true, false}) {
        const std::string what =
            operation + (answers ? " answered" : "") + (cancels ? " cancelled" : " ended");
        auto options = Options({{kOperationHeader, operation},
                                {kReturnHeader, answers ? "1" : "0"},
                                {contract::kUploadEndHeader, "marked"}});
        auto call = *client_->DoExchange(options, fl::FlightDescriptor::Path({"memory", "main", "t"}));
        ASSERT_TRUE(call.writer->Begin(batch->schema()).ok()) << what;
        ASSERT_TRUE(call.reader->GetSchema().ok()) << what;
        ASSERT_TRUE(call.writer->WriteRecordBatch(*batch).ok()) << what;
        if (answers) {
          ASSERT_EQ(call.reader->Next()->data->num_rows(), 1) << what;
        }
        // An end that the proxy has not marked is one that the client did not mean.
        if (cancels) {
          call.reader->Cancel();
        } else {
          ASSERT_TRUE(call.writer->DoneWriting().ok()) << what;
        }
        arrow::Result<fl::FlightStreamChunk> next = call.reader->Next();
        EXPECT_FALSE(next.ok()) << what;
        EXPECT_FALSE(call.writer->Close().ok()) << what;
        ASSERT_TRUE(server_.runner().activity().AwaitNone(std::chrono::seconds(10))) << what;
        EXPECT_EQ(Value("SELECT string_agg(a || ':' || b, ' ' ORDER BY a) FROM t"), "0:0 1:1 2:2 3:3 4:4")
            << what;
      }
    }
  }
}

TEST_F(AirportTest, WhatCannotBeWrittenIsRefusedForGood) {
  Do("CREATE TABLE t (a BIGINT, twice BIGINT GENERATED ALWAYS AS (a * 2))");
  Do("CREATE VIEW v AS SELECT a FROM t");
  Do("CREATE TABLE own (rowid BIGINT)");
  const auto refused = [&](const std::string& operation, const std::string& table,
                           const std::shared_ptr<arrow::RecordBatch>& rows) {
    const auto done = Exchange(operation, table, rows);
    // The client tries other errors again.
    EXPECT_TRUE(done.status().IsInvalid() || done.status().IsKeyError())
        << operation << " " << table << ": " << done.status().ToString();
  };
  refused("insert", "v", Batch({"a"}, {{1}}));
  refused("delete", "v", Batch({"rowid"}, {{1}}));
  refused("delete", "own", Batch({"rowid"}, {{1}}));
  refused("update", "t", Batch({"twice", "rowid"}, {{1}, {0}}));
  refused("update", "t", Batch({"a"}, {{1}}));
  refused("update", "t", Batch({"rowid", "a"}, {{0}, {1}}));
  refused("update", "t", Batch({"rowid"}, {{0}}));
  refused("delete", "t", Batch({"a"}, {{0}}));
  refused("insert", "t", Batch({"unknown"}, {{0}}));
  refused("insert", "nothing", Batch({"a"}, {{0}}));
  refused("merge", "t", Batch({"a"}, {{0}}));
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "0");
}

// ---- Changing what there is

TEST_F(AirportTest, SchemasAndTablesAreMadeAndDropped) {
  const auto made =
      Act("create_schema",
          {{"catalog_name", "memory"}, {"schema", "s"}, {"comment", "mine"}, {"tags", Message::object()}});
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  const Message contents = *Unpack(made->at(0));
  EXPECT_EQ(contents.at("sha256"), base::Sha256Hex(BytesOf(contents.at("serialized"))));
  EXPECT_EQ(Inflate(BytesOf(contents.at("serialized"))), Message::array());
  const auto columns = arrow::schema({arrow::field("a", arrow::int32()), arrow::field("b", arrow::utf8())});
  const Message create = {{"catalog_name", "memory"},  {"schema_name", "s"},
                          {"table_name", "t"},         {"arrow_schema", Binary(Serialized(columns))},
                          {"on_conflict", "error"},    {"not_null_constraints", {0}},
                          {"unique_constraints", {1}}, {"check_constraints", {"a > 0"}}};
  const auto table = Act("create_table", create);
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  const auto info = *fl::FlightInfo::Deserialize(table->at(0));
  EXPECT_EQ(Unpack(info->app_metadata())->at("schema"), "s");
  arrow::ipc::DictionaryMemo memo;
  EXPECT_THAT((*info->GetSchema(&memo))->field_names(), ElementsAre("a", "b", "rowid"));
  EXPECT_FALSE(Sql("INSERT INTO s.t VALUES (NULL, 'x')").ok());
  EXPECT_FALSE(Sql("INSERT INTO s.t VALUES (-1, 'x')").ok());
  Do("INSERT INTO s.t VALUES (1, 'x')");
  EXPECT_FALSE(Sql("INSERT INTO s.t VALUES (2, 'x')").ok());
  EXPECT_FALSE(Act("create_table", create).ok());
  Message ignore = create;
  ignore["on_conflict"] = "ignore";
  EXPECT_TRUE(Act("create_table", ignore).ok());
  EXPECT_EQ(Value("SELECT count(*) FROM s.t"), "1");
  Message replace = create;
  replace["on_conflict"] = "replace";
  EXPECT_TRUE(Act("create_table", replace).ok());
  EXPECT_EQ(Value("SELECT count(*) FROM s.t"), "0");
  const Message drop = {{"type", "table"},
                        {"catalog_name", "memory"},
                        {"schema_name", "s"},
                        {"name", "t"},
                        {"ignore_not_found", false}};
  const auto dropped = Act("drop_table", drop);
  ASSERT_TRUE(dropped.ok()) << dropped.status().ToString();
  EXPECT_TRUE(dropped->empty());
  EXPECT_FALSE(Act("drop_table", drop).ok());
  Message drop_schema = {{"type", "schema"},
                         {"catalog_name", "memory"},
                         {"schema_name", ""},
                         {"name", "s"},
                         {"ignore_not_found", false}};
  ASSERT_TRUE(Act("drop_schema", drop_schema).ok());
  EXPECT_TRUE(Act("drop_schema", drop_schema).status().IsKeyError());
  drop_schema["ignore_not_found"] = true;
  EXPECT_TRUE(Act("drop_schema", drop_schema).ok());
}

TEST_F(AirportTest, AConstraintIsAdded) {
  Do("CREATE TABLE t (a INTEGER, c VARCHAR)");
  const auto add = [&](const Message& constraint) {
    Message request = {
        {"catalog", "memory"}, {"schema", "main_"}, {"name", "t"}, {"ignore_not_found", false}};
    if (!constraint.is_null()) request["constraint"] = constraint;
    return Act("add_constraint", request);
  };
  const auto added = add("PRIMARY KEY (c)");
  ASSERT_TRUE(added.ok()) << added.status().ToString();
  arrow::ipc::DictionaryMemo memo;
  const auto columns = *(*fl::FlightInfo::Deserialize(added->at(0)))->GetSchema(&memo);
  EXPECT_THAT(columns->field_names(), ElementsAre("a", "c", "rowid"));
  EXPECT_FALSE(columns->GetFieldByName("c")->nullable());
  Do("INSERT INTO t VALUES (1, 'x')");
  EXPECT_THAT(Sql("INSERT INTO t VALUES (2, 'x')").status().ToString(), HasSubstr("violates primary key"));
  // DuckDB adds no others to a table that is there.
  EXPECT_FALSE(add("CHECK (a > 0)").ok());
  EXPECT_FALSE(add("PRIMARY KEY (a)").ok());
  EXPECT_TRUE(add(nullptr).status().IsInvalid());
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "1");
}

TEST_F(AirportTest, ColumnsAreAddedRenamedChangedAndRemoved) {
  Do("CREATE TABLE t (a INTEGER, s STRUCT(k INTEGER))");
  const auto alter = [&](const std::string& action, Message request) {
    request["catalog"] = "memory";
    request["schema"] = "main_";
    if (!request.contains("name")) request["name"] = "t";
    request["ignore_not_found"] = false;
    const auto bodies = Act(action, request);
    EXPECT_TRUE(bodies.ok()) << action << ": " << bodies.status().ToString();
    if (!bodies.ok()) return std::vector<std::string>{};
    arrow::ipc::DictionaryMemo memo;
    return (*(*fl::FlightInfo::Deserialize(bodies->at(0)))->GetSchema(&memo))->field_names();
  };
  const auto one = [](const std::string& name, const std::shared_ptr<arrow::DataType>& type) {
    return Binary(Serialized(arrow::schema({arrow::field(name, type)})));
  };
  EXPECT_THAT(alter("add_column",
                    {{"column_schema", one("b \"x\"", arrow::utf8())}, {"if_column_not_exists", false}}),
              ElementsAre("a", "s", "b \"x\"", "rowid"));
  EXPECT_THAT(alter("rename_column", {{"old_name", "b \"x\""}, {"new_name", "c"}}),
              ElementsAre("a", "s", "c", "rowid"));
  alter("set_default", {{"column_name", "c"}, {"expression", "'none'"}});
  alter("set_not_null", {{"column_name", "a"}});
  alter("drop_not_null", {{"column_name", "a"}});
  alter("change_column_type",
        {{"column_schema", one("a", arrow::int64())}, {"expression", "CAST(a AS BIGINT)"}});
  EXPECT_EQ(Value("SELECT data_type || ' ' || (SELECT column_default FROM duckdb_columns() WHERE column_name "
                  "= 'c') FROM duckdb_columns() WHERE column_name = 'a'"),
            "BIGINT 'none'");
  alter("add_field", {{"column_path", {"s"}}, {"column_schema", one("m", arrow::int32())}});
  alter("rename_field", {{"column_path", {"s", "m"}}, {"new_name", "n"}});
  EXPECT_EQ(Value("SELECT data_type FROM duckdb_columns() WHERE column_name = 's'"),
            "STRUCT(k INTEGER, n INTEGER)");
  alter("remove_field", {{"column_path", {"s", "n"}}});
  EXPECT_THAT(
      alter("remove_column", {{"removed_column", "c"}, {"if_column_exists", true}, {"cascade", false}}),
      ElementsAre("a", "s", "rowid"));
  EXPECT_THAT(alter("rename_table", {{"new_table_name", "u"}}), ElementsAre("a", "s", "rowid"));
  EXPECT_NE(Listed("memory", "main_", "u"), nullptr);
  EXPECT_EQ(Listed("memory", "main_", "t"), nullptr);
  EXPECT_FALSE(
      Act("add_column",
          {{"catalog", "memory"}, {"schema", "main_"}, {"name", "u"}, {"column_schema", "no schema"}})
          .ok());
  EXPECT_TRUE(
      Act("add_column", {{"catalog", "memory"}, {"schema", "nowhere"}, {"name", "u"}}).status().IsKeyError());
}

}  // namespace
}  // namespace pondpilot::worker::airport
