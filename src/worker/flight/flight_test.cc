// The worker's Flight server over a real connection, on a real engine.
#include <arrow/api.h>
#include <arrow/flight/api.h>
#include <arrow/flight/sql/client.h>
#include <arrow/flight/sql/server.h>
#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>

#include "worker/flight/flight_fixture.h"
#include "worker/flight/raw_call.h"
#include "worker/session/eventually.h"

namespace pondpilot::worker::flight {
namespace {

using session::Eventually;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kEndless[] =
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1";

TEST_F(FlightTest, AnswersPlainSqlAndFlightSql) {
  EXPECT_EQ(Value(Raw("SELECT 42")), "42");
  EXPECT_EQ(Value(Sql("SELECT 42")), "42");
}

TEST_F(FlightTest, OfSeveralStatementsTheLastAnswers) {
  EXPECT_EQ(Value(Raw("CREATE TEMP TABLE several AS SELECT 1 AS a; INSERT INTO several VALUES (6); "
                      "SELECT sum(a)::INT FROM several;")),
            "7");
}

TEST_F(FlightTest, ResultsOfManyBatchesArriveWhole) {
  const auto rows = Raw("SELECT range AS n FROM range(1000000)");
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_EQ((*rows)->num_rows(), 1'000'000);
  EXPECT_EQ((*(*rows)->column(0)->GetScalar(999'999))->ToString(), "999999");
}

TEST_F(FlightTest, AResultWithoutRowsHasItsSchema) {
  const auto rows = Sql("SELECT 1 AS a, 'x' AS b WHERE false");
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_EQ((*rows)->num_rows(), 0);
  EXPECT_EQ((*rows)->schema()->field_names(), (std::vector<std::string>{"a", "b"}));
}

TEST_F(FlightTest, UpdatesSayHowManyRowsChanged) {
  const auto options = Loopback::AsProxy();
  ASSERT_TRUE(Sql("CREATE TEMP TABLE changed(a INT)").ok());
  EXPECT_EQ(sql_.ExecuteUpdate(options, "INSERT INTO changed VALUES (1), (2), (3)").ValueOr(-99), 3);
  EXPECT_EQ(sql_.ExecuteUpdate(options, "DELETE FROM changed WHERE a < 3").ValueOr(-99), 2);
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM changed")), "1");
}

TEST_F(FlightTest, StateFollowsTheConnection) {
  ASSERT_TRUE(Raw("CREATE TEMP TABLE mine AS SELECT 5 AS a", "one").ok());
  EXPECT_EQ(Value(Raw("SELECT a FROM mine", "one")), "5");
  EXPECT_THAT(Value(Raw("SELECT a FROM mine", "two")), HasSubstr("mine"));
  ASSERT_TRUE(sql_.CloseSession(Loopback::AsProxy("one"), {}).ok());
  EXPECT_THAT(Value(Raw("SELECT a FROM mine", "one")), HasSubstr("does not exist"));
}

// ---- Bad input

TEST_F(FlightTest, ErrorsAreDuckDbsOwn) {
  const auto status = Raw("SELECT no_such_column FROM range(3)").status();
  EXPECT_TRUE(status.IsInvalid()) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("no_such_column"));
}

TEST_F(FlightTest, TextsThatAreNoSql) {
  for (const char* sql : {"", " \n", "-- only a comment", ";"}) {
    for (const auto& status : {Raw(sql).status(), Sql(sql).status()}) {
      EXPECT_TRUE(status.IsInvalid()) << '"' << sql << "\": " << status.ToString();
    }
  }
  const auto status = Raw("SELECT '\xff\xfe'").status();
  EXPECT_TRUE(status.IsInvalid()) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("UTF-8"));
  // Flight SQL carries text: protobuf refuses other bytes on the way in.
  EXPECT_FALSE(Sql("SELECT '\xff\xfe'").ok());
}

TEST_F(FlightTest, ALongTextRunsAndATooLongOneIsRefused) {
  const std::string three_mb = "SELECT length('" + std::string(3 << 20, 'x') + "')";
  EXPECT_EQ(Value(Raw(three_mb)), std::to_string(3 << 20));
  EXPECT_EQ(Value(Sql(three_mb)), std::to_string(3 << 20));
  const auto status = Raw("SELECT '" + std::string(QueryDoor::kMaxSqlBytes, 'x') + "'").status();
  EXPECT_TRUE(status.IsInvalid()) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("16777216"));
}

TEST_F(FlightTest, PathsAndUnknownCommands) {
  EXPECT_THAT(InfoOf(fl::FlightDescriptor::Path({"a", "b"})).message(), HasSubstr("for_command"));
  const auto unknown = InfoOf(fl::FlightDescriptor::Command(Any("CommandMakeCoffee")));
  EXPECT_TRUE(unknown.IsNotImplemented()) << unknown.ToString();
  EXPECT_THAT(unknown.message(), HasSubstr("CommandMakeCoffee"));
  for (const char* command : {"CommandStatementSubstraitPlan"}) {
    const auto status = InfoOf(fl::FlightDescriptor::Command(Any(command)));
    EXPECT_TRUE(status.IsNotImplemented()) << command << ": " << status.ToString();
  }
  // A known name with a body that is none.
  EXPECT_FALSE(InfoOf(fl::FlightDescriptor::Command(Any("CommandStatementQuery", "\xff\xff\xff"))).ok());
  // Another protobuf is SQL text like any other bytes.
  google::protobuf::Any other;
  other.set_type_url("type.googleapis.com/other.Thing");
  EXPECT_TRUE(InfoOf(fl::FlightDescriptor::Command(other.SerializeAsString())).IsInvalid());
}

TEST_F(FlightTest, ActionsThatAreNotThere) {
  const auto run = [&](const fl::Action& action) {
    auto results = client_->DoAction(Loopback::AsProxy(), action);
    if (!results.ok()) return results.status();
    return (*results)->Next().status();
  };
  for (const char* type : {"BeginSavepoint", "EndSavepoint", "CreatePreparedSubstraitPlan", "MakeCoffee", ""})
    EXPECT_FALSE(run({type, arrow::Buffer::FromString("")}).ok()) << type;
  EXPECT_EQ(Value(Raw("SELECT 1")), "1");
}

TEST_F(FlightTest, TicketsThatAreNone) {
  const auto get = [&](const std::string& ticket) {
    auto reader = client_->DoGet(Loopback::AsProxy(), fl::Ticket{ticket});
    return reader.ok() ? (*reader)->ToTable().status() : reader.status();
  };
  for (const std::string& ticket :
       {std::string(), std::string("garbage"), std::string(70'000, '\xff'), std::string("pondpilot:result:"),
        Any("TicketStatementQuery", "\xff"), Any("CommandMakeCoffee")}) {
    EXPECT_FALSE(get(ticket).ok()) << ticket.substr(0, 40);
  }
  const auto unknown = get("pondpilot:result:" + std::string(32, '0'));
  EXPECT_TRUE(unknown.IsKeyError()) << unknown.ToString();
  EXPECT_THAT(unknown.message(), HasSubstr("Run the query again"));
}

TEST_F(FlightTest, ATicketWorksOnce) {
  const auto options = Loopback::AsProxy();
  const auto info = client_->GetFlightInfo(options, fl::FlightDescriptor::Command("SELECT 42"));
  ASSERT_TRUE(info.ok());
  EXPECT_TRUE(Read(**info, options).ok());
  const auto again = Read(**info, options).status();
  EXPECT_TRUE(again.IsKeyError()) << again.ToString();
}

// ---- The worker's token

TEST_F(FlightTest, AnswersItsOwnProxyOnly) {
  auto none = Loopback::AsProxy();
  none.headers.clear();
  auto twice = Loopback::AsProxy();
  twice.headers.emplace_back(contract::kWorkerTokenHeader, kTestToken);
  for (const auto& options : {none, twice, Loopback::AsProxy("a", "wrong"), Loopback::AsProxy("a", ""),
                              Loopback::AsProxy("a", base::Sha256Hex(kTestToken))}) {
    const auto status = client_->GetFlightInfo(options, fl::FlightDescriptor::Command("SELECT 42")).status();
    EXPECT_EQ(CodeOf(status), fl::FlightStatusCode::Unauthenticated) << status.ToString();
    auto results = client_->DoAction(options, {"CloseSession", arrow::Buffer::FromString("")});
    EXPECT_EQ(CodeOf(results.ok() ? (*results)->Next().status() : results.status()),
              fl::FlightStatusCode::Unauthenticated);
    EXPECT_FALSE(client_->ListActions(options).ok());
    EXPECT_FALSE(client_->ListFlights(options, {}).ok());
    auto reader = client_->DoGet(options, fl::Ticket{"pondpilot:result:0"});
    EXPECT_EQ(CodeOf(reader.ok() ? (*reader)->ToTable().status() : reader.status()),
              fl::FlightStatusCode::Unauthenticated);
  }
  EXPECT_EQ(server_.runner().sessions().Count().sessions, 0u);
}

// The proxy takes an UNAVAILABLE without trailers as a broken connection.
TEST_F(FlightTest, EveryErrorCarriesATrailer) {
  Loopback unassigned(**engine_);
  for (const char* method : {"GetFlightInfo", "GetSchema", "PollFlightInfo"}) {
    const auto refused = RawCall(server_.address(), "", method, "SELECT nothing");
    EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << method;
    EXPECT_TRUE(refused.has_answer_trailer) << method;
    const auto bad = RawCall(server_.address(), kTestToken, method, "SELECT nothing");
    EXPECT_FALSE(bad.status.ok()) << method;
    EXPECT_TRUE(bad.has_answer_trailer) << method;
    const auto early = RawCall(unassigned.address(), kTestToken, method, "SELECT nothing");
    EXPECT_FALSE(early.status.ok()) << method;
    EXPECT_TRUE(early.has_answer_trailer) << method;
  }
  const auto early = RawCall(unassigned.address(), kTestToken, "GetFlightInfo", "SELECT 42");
  EXPECT_EQ(early.status.error_code(), grpc::StatusCode::UNAVAILABLE) << early.status.error_message();
}

// ---- Clients that go away

TEST_F(FlightTest, ADeadlineStopsTheStatement) {
  auto options = Loopback::AsProxy();
  options.timeout = fl::TimeoutDuration(0.1);
  const auto status = client_->GetFlightInfo(options, fl::FlightDescriptor::Command(kEndless)).status();
  EXPECT_EQ(CodeOf(status), fl::FlightStatusCode::TimedOut) << status.ToString();
  EXPECT_TRUE(Eventually([&] { return server_.runner().activity().Get().running_statements == 0; }));
  EXPECT_EQ(Value(Raw("SELECT 42")), "42");
}

// GetFlightInfo answers before it; the proxy has told when it is.
TEST_F(FlightTest, ADeadlineStopsTheStatementAfterTheAnswerToo) {
  auto options = Loopback::AsProxy();
  options.headers.emplace_back(contract::kTimeLeftHeader, "500");
  const auto info = client_->GetFlightInfo(options, fl::FlightDescriptor::Command(kEndless));
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_EQ(server_.runner().activity().Get().running_statements, 1u);
  auto reader = client_->DoGet(Loopback::AsProxy(), (*info)->endpoints()[0].ticket);
  ASSERT_TRUE(reader.ok());
  const auto status = (*reader)->ToTable().status();
  EXPECT_EQ(CodeOf(status), fl::FlightStatusCode::TimedOut) << status.ToString();
  EXPECT_THAT(status.ToString(), HasSubstr("deadline of the call"));
  EXPECT_TRUE(Eventually([&] { return server_.runner().activity().Get().running_statements == 0; }));
}

TEST_F(FlightTest, AnAnswerDoesNotWaitForSlowRows) {
  const auto options = Loopback::AsProxy();
  const auto info = client_->GetFlightInfo(
      options,
      fl::FlightDescriptor::Command(
          "SELECT count(*) AS n FROM range(30000) a, range(30000) b WHERE (a.range * b.range) % 7 = 3"));
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_EQ(server_.runner().activity().Get().running_statements, 1u)
      << "this machine is too fast for the test";
  const auto rows = Read(**info, options);
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_EQ((*rows)->schema()->field_names(), std::vector<std::string>{"n"});
  EXPECT_EQ((*rows)->num_rows(), 1);
  EXPECT_TRUE(Eventually([&] { return server_.runner().activity().Get().open_streams == 0; }));
}

TEST_F(FlightTest, AReaderThatLeavesBeforeTheFirstRowStopsTheStatement) {
  const auto options = Loopback::AsProxy();
  const auto info = client_->GetFlightInfo(options, fl::FlightDescriptor::Command(kEndless));
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  auto reader = client_->DoGet(options, (*info)->endpoints()[0].ticket);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE((*reader)->GetSchema().ok()) << "the columns come before the rows";
  (*reader)->Cancel();
  EXPECT_TRUE(Eventually([&] { return server_.runner().activity().Get().running_statements == 0; }));
  EXPECT_TRUE(Eventually([&] { return server_.runner().activity().Get().open_streams == 0; }));
}

// Such a text expands into several statements, the last of which has ended before the columns are known.
TEST_F(FlightTest, AResultThatEndsWhileItsColumnsAreLookedFor) {
  const auto rows = Raw("PIVOT (SELECT range % 2 AS x FROM range(5)) ON x USING count(*)");
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_EQ((*rows)->schema()->field_names(), (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ((*rows)->num_rows(), 1);
}

TEST_F(FlightTest, CancelByTicketWhileItComputes) {
  const auto options = Loopback::AsProxy();
  auto info = client_->GetFlightInfo(options, fl::FlightDescriptor::Command(kEndless));
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_EQ(server_.runner().activity().Get().running_statements, 1u);
  const auto result = client_->CancelFlightInfo(options, fl::CancelFlightInfoRequest(std::move(*info)));
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->status, fl::CancelStatus::kCancelled);
  EXPECT_TRUE(Eventually([&] { return server_.runner().activity().Get().running_statements == 0; }));
  EXPECT_TRUE(Eventually([&] { return server_.runner().activity().Get().open_streams == 0; }));
}

TEST_F(FlightTest, AReaderThatLeavesStopsTheStream) {
  const auto options = Loopback::AsProxy();
  const auto info = client_->GetFlightInfo(
      options, fl::FlightDescriptor::Command("SELECT range, repeat('x', 100) FROM range(1000000000)"));
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  auto reader = client_->DoGet(options, (*info)->endpoints()[0].ticket);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE((*reader)->Next().ok());
  EXPECT_EQ(server_.runner().activity().Get().open_streams, 1u);
  (*reader)->Cancel();
  EXPECT_TRUE(Eventually([&] { return server_.runner().activity().Get().open_streams == 0; }));
  EXPECT_EQ(Value(Raw("SELECT 42")), "42");
}

TEST_F(FlightTest, GetSchemaRunsNothing) {
  const auto options = Loopback::AsProxy();
  arrow::ipc::DictionaryMemo memo;
  const auto schema = client_->GetSchema(options, fl::FlightDescriptor::Command("SELECT 1 AS a, 'x' AS b"));
  ASSERT_TRUE(schema.ok()) << schema.status().ToString();
  EXPECT_EQ((*(*schema)->GetSchema(&memo))->field_names(), (std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(Sql("CREATE TEMP TABLE looked_at(a INT)").ok());
  EXPECT_TRUE(client_->GetSchema(options, fl::FlightDescriptor::Command("INSERT INTO looked_at VALUES (1)"))
                  .status()
                  .IsInvalid());
  EXPECT_EQ(Value(Sql("SELECT count(*) FROM looked_at")), "0");
}

// ---- Metadata

TEST_F(FlightTest, TablesAndTheirSchemas) {
  const auto options = Loopback::AsProxy();
  ASSERT_TRUE(Raw("CREATE TABLE meta_t(a INT, b VARCHAR); CREATE VIEW meta_v AS SELECT 1 AS c").ok());
  const std::string pattern = "meta%";
  const auto tables = Answer(sql_.GetTables(options, nullptr, nullptr, &pattern, true, nullptr));
  ASSERT_TRUE(tables.ok()) << tables.status().ToString();
  EXPECT_TRUE((*tables)->schema()->Equals(*fl::sql::SqlSchema::GetTablesSchemaWithIncludedSchema(), true));
  EXPECT_THAT(Column(*tables, "table_name"), ElementsAre("meta_t", "meta_v"));
  EXPECT_THAT(Column(*tables, "table_type"), ElementsAre("TABLE", "VIEW"));
  const std::vector<std::string> views{"VIEW"};
  const auto only_views = Answer(sql_.GetTables(options, nullptr, nullptr, &pattern, false, &views));
  ASSERT_TRUE(only_views.ok()) << only_views.status().ToString();
  EXPECT_THAT(Column(*only_views, "table_name"), ElementsAre("meta_v"));
  const std::string hostile = "meta_t' OR '1' = '1";
  const auto nothing = Answer(sql_.GetTables(options, nullptr, nullptr, &hostile, false, nullptr));
  ASSERT_TRUE(nothing.ok()) << nothing.status().ToString();
  EXPECT_EQ((*nothing)->num_rows(), 0);
  EXPECT_TRUE(Raw("DROP VIEW meta_v; DROP TABLE meta_t").ok());
}

TEST_F(FlightTest, CatalogsSchemasTypesAndServerFacts) {
  const auto options = Loopback::AsProxy();
  const auto catalogs = Answer(sql_.GetCatalogs(options));
  ASSERT_TRUE(catalogs.ok()) << catalogs.status().ToString();
  EXPECT_THAT(Column(*catalogs, "catalog_name"), testing::Contains(Value(Raw("SELECT current_database()"))));
  const std::string main_schema = "main";
  const auto schemas = Answer(sql_.GetDbSchemas(options, nullptr, &main_schema));
  ASSERT_TRUE(schemas.ok()) << schemas.status().ToString();
  EXPECT_GE((*schemas)->num_rows(), 1);
  const auto types = Answer(sql_.GetTableTypes(options));
  ASSERT_TRUE(types.ok()) << types.status().ToString();
  EXPECT_THAT(Column(*types, "table_type"), ElementsAre("TABLE", "VIEW"));
  const auto all = Answer(sql_.GetSqlInfo(options, std::vector<int>{}));
  ASSERT_TRUE(all.ok()) << all.status().ToString();
  EXPECT_GT((*all)->num_rows(), 5);
  const auto one =
      Answer(sql_.GetSqlInfo(options, std::vector<int>{fl::sql::SqlInfoOptions::FLIGHT_SQL_SERVER_NAME}));
  ASSERT_TRUE(one.ok()) << one.status().ToString();
  EXPECT_EQ((*one)->num_rows(), 1);
}

TEST_F(FlightTest, SixtyKilobytesOfMetadata) {
  auto options = Loopback::AsProxy();
  options.headers.emplace_back("x-large", std::string(60 << 10, 'm'));
  const auto status = client_->GetFlightInfo(options, fl::FlightDescriptor::Command("SELECT 42")).status();
  EXPECT_TRUE(status.ok()) << status.ToString();
  auto too_large = Loopback::AsProxy();
  too_large.headers.emplace_back("x-large", std::string(kMaxMetadataBytes + 1, 'm'));
  EXPECT_FALSE(client_->GetFlightInfo(too_large, fl::FlightDescriptor::Command("SELECT 42")).ok());
  // That may have cost the connection, and nothing else.
  EXPECT_TRUE(
      server_.Connect()->GetFlightInfo(Loopback::AsProxy(), fl::FlightDescriptor::Command("SELECT 42")).ok());
}

}  // namespace
}  // namespace pondpilot::worker::flight
