// contract/sql.proto over a real connection: on a real engine, and on a scripted one where timing matters.
#include "worker/documents/sql_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "base/secret.h"
#include "worker/flight/locked_engine.h"
#include "worker/flight/loopback.h"
#include "worker/session/eventually.h"
#include "worker/session/fake_engine.h"

namespace pondpilot::worker::documents {
namespace {

namespace proto = pondpilot::sql::v1;
using flight::kTestToken;
using session::Eventually;
using testing::HasSubstr;

struct Answer {
  grpc::Status status;
  std::string document;
  int pieces = 0;
  bool last = false;
  std::optional<proto::Failure> failure;
};

// A worker's door on an engine, and calls to it.
class Door {
 public:
  explicit Door(engine::Engine& engine)
      : loopback_(engine, [&](flight::Loopback& loopback, grpc::ServerBuilder& builder) {
          service_ = std::make_unique<SqlService>(engine, loopback.runner(), base::Sha256Hex(kTestToken));
          builder.RegisterService(service_.get());
        }) {
    service_->StartServing();
    stub_ = proto::Sql::NewStub(grpc::CreateChannel(loopback_.address(), grpc::InsecureChannelCredentials()));
  }

  // `at_piece` is called for each; false cancels the call.
  Answer Run(const proto::RunRequest& request, const std::string& token = kTestToken,
             const std::function<bool(const Answer&)>& at_piece = {}) {
    grpc::ClientContext context;
    Prepare(context, token);
    return Read(context, stub_->Run(&context, request), at_piece);
  }
  Answer Catalog(const proto::CatalogRequest& request) {
    grpc::ClientContext context;
    Prepare(context, kTestToken);
    return Read(context, stub_->Catalog(&context, request), {});
  }
  session::StatementRunner& runner() { return loopback_.runner(); }

 private:
  static void Prepare(grpc::ClientContext& context, const std::string& token) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    context.AddMetadata(contract::kWorkerTokenHeader, token);
  }
  static Answer Read(grpc::ClientContext& context, std::unique_ptr<grpc::ClientReader<proto::Piece>> reader,
                     const std::function<bool(const Answer&)>& at_piece) {
    Answer answer;
    proto::Piece piece;
    while (reader->Read(&piece)) {
      ++answer.pieces;
      answer.document += piece.data();
      answer.last = piece.last();
      if (piece.has_failure()) answer.failure = piece.failure();
      if (at_piece && !at_piece(answer)) context.TryCancel();
    }
    answer.status = reader->Finish();
    return answer;
  }

  std::unique_ptr<SqlService> service_;
  flight::Loopback loopback_;
  std::unique_ptr<proto::Sql::Stub> stub_;
};

proto::RunRequest Statement(const std::string& sql, proto::Format format = proto::FORMAT_NDJSON) {
  proto::RunRequest request;
  request.set_sql(sql);
  request.set_format(format);
  return request;
}

class SqlServiceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { engine_ = std::make_unique<flight::LockedEngine>(); }
  static void TearDownTestSuite() { engine_.reset(); }

  std::string Document(const proto::RunRequest& request) {
    const Answer answer = door_.Run(request);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_TRUE(answer.last);
    return answer.failure ? answer.failure->code() + ": " + answer.failure->message() : answer.document;
  }
  std::string Document(const std::string& sql) { return Document(Statement(sql)); }

  inline static std::unique_ptr<flight::LockedEngine> engine_;
  Door door_{**engine_};
};

TEST_F(SqlServiceTest, ASmallResultIsOnePiece) {
  const Answer answer = door_.Run(Statement("SELECT 42 AS answer", proto::FORMAT_JSON));
  EXPECT_EQ(answer.document,
            "{\"columns\":[{\"name\":\"answer\",\"type\":\"INTEGER\"}],\"rows\":[\n{\"answer\":42}\n],\"row_"
            "count\":1}\n");
  EXPECT_EQ(answer.pieces, 1);
}

TEST_F(SqlServiceTest, WhatDuckDbExports) {
  EXPECT_EQ(
      Document(
          "SELECT 1::HUGEINT AS h, 2::UBIGINT AS u, 1.50 AS d, 'x'::BLOB AS b, DATE '2026-01-26' AS day, "
          "'00000000-0000-0000-0000-000000000001'::UUID AS id, INTERVAL 90 MINUTE AS i, [1, 2] AS l, "
          "{'a': 1} AS s, MAP {'k': 1} AS m, 'infinity'::TIMESTAMP AS t, 'nan'::DOUBLE AS n, NULL AS "
          "nothing, "
          "TIME '12:30:00' AS at, '[1]'::JSON AS j, 'a'::ENUM('a', 'b') AS e"),
      R"({"h":1,"u":2,"d":1.50,"b":"eA==","day":"2026-01-26","id":"00000000-0000-0000-0000-000000000001","i":"PT1H30M",)"
      R"("l":[1,2],"s":{"a":1},"m":{"k":1},"t":"infinity","n":"NaN","nothing":null,"at":"12:30:00","j":"[1]","e":"a"})"
      "\n");
}

TEST_F(SqlServiceTest, ParametersByPositionAndByName) {
  auto by_position = Statement("SELECT ? + 1 AS a, ? AS b, DATE '2026-01-02' = $3 AS c, len($4) AS d");
  by_position.add_parameters()->mutable_value()->set_integer(41);
  by_position.add_parameters()->mutable_value();
  by_position.add_parameters()->mutable_value()->set_text("2026-01-02");
  auto* list = by_position.add_parameters()->mutable_value()->mutable_list();
  list->add_values()->set_integer(1);
  list->add_values()->set_number(1.5);
  // DuckDB wants one style in a statement.
  by_position.set_sql("SELECT $1 + 1 AS a, $2 AS b, DATE '2026-01-02' = $3 AS c, len($4) AS d");
  EXPECT_EQ(Document(by_position), "{\"a\":42,\"b\":null,\"c\":true,\"d\":2}\n");
  auto by_name = Statement("SELECT $b - $a AS n");
  for (const auto& [name, value] : {std::pair{"a", 1}, std::pair{"b", 3}}) {
    auto* parameter = by_name.add_parameters();
    parameter->set_name(name);
    parameter->mutable_value()->set_integer(value);
  }
  EXPECT_EQ(Document(by_name), "{\"n\":2}\n");
  auto mixed = Statement("SELECT $1");
  auto* bad = mixed.add_parameters()->mutable_value()->mutable_list();
  bad->add_values()->set_integer(1);
  bad->add_values()->set_text("x");
  EXPECT_THAT(Document(mixed), HasSubstr("invalid_argument: The parameter 1 is a list"));
  EXPECT_THAT(Document(Statement("SELECT $1")), HasSubstr("invalid_argument"));
}

TEST_F(SqlServiceTest, ErrorsBeforeTheFirstByteAreAloneInTheirPiece) {
  const Answer answer = door_.Run(Statement("SELECT * FROM nowhere", proto::FORMAT_JSON));
  EXPECT_TRUE(answer.document.empty());
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code(), "not_found");
  EXPECT_THAT(answer.failure->message(), HasSubstr("nowhere"));
  EXPECT_THAT(Document("COPY (SELECT 1) TO '/tmp/x'"), HasSubstr("permission_denied"));
}

TEST_F(SqlServiceTest, NothingButTablesOutlivesARequest) {
  Document("CREATE TABLE lasting AS SELECT 1 AS a");
  EXPECT_EQ(Document("CREATE TEMP TABLE fleeting AS SELECT 7 AS a; SELECT a FROM fleeting"), "{\"a\":7}\n");
  EXPECT_THAT(Document("SELECT * FROM fleeting"), HasSubstr("not_found"));
  EXPECT_EQ(Document("SELECT * FROM lasting"), "{\"a\":1}\n");
  Document("BEGIN; INSERT INTO lasting VALUES (2)");
  EXPECT_EQ(Document("SELECT count(*) AS n FROM lasting"), "{\"n\":1}\n")
      << "an open transaction is rolled back";
  EXPECT_EQ(door_.runner().sessions().Count().sessions, 0u);
  Document("DROP TABLE lasting");
}

TEST_F(SqlServiceTest, ANamedSessionLasts) {
  auto request = Statement("CREATE TEMP TABLE mine AS SELECT 7 AS a");
  request.set_session("s1");
  Document(request);
  request.set_sql("SELECT a FROM mine");
  EXPECT_EQ(Document(request), "{\"a\":7}\n");
  request.set_session("s2");
  EXPECT_THAT(Document(request), HasSubstr("not_found"));
}

TEST_F(SqlServiceTest, Timeouts) {
  auto request = Statement("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b");
  request.set_timeout_ms(200);
  EXPECT_THAT(Document(request), HasSubstr("deadline_exceeded: The statement was cancelled, because"));
}

TEST_F(SqlServiceTest, Catalog) {
  Document("CREATE TABLE things (id INTEGER, tags VARCHAR[]); CREATE VIEW seen AS SELECT id FROM things");
  const Answer answer = door_.Catalog({});
  EXPECT_TRUE(answer.last);
  EXPECT_THAT(answer.document,
              HasSubstr(R"({"name":"memory","available":true,"schemas":[{"name":"main","tables":[)"
                        R"({"name":"things","kind":"table","columns":[{"name":"id","type":"INTEGER"},)"
                        "\n"
                        R"({"name":"tags","type":"VARCHAR[]"}]},)"
                        "\n"
                        R"({"name":"seen","kind":"view","columns":[{"name":"id","type":"INTEGER"}]}]}]})"));
  proto::CatalogRequest other;
  other.set_database("elsewhere");
  EXPECT_EQ(door_.Catalog(other).document, "{\"databases\":[]}\n");
  Document("DROP VIEW seen; DROP TABLE things");
}

TEST_F(SqlServiceTest, OnlyWithTheToken) {
  for (const std::string& token : {std::string(), std::string("wrong")}) {
    EXPECT_EQ(door_.Run(Statement("SELECT 1"), token).status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
}

TEST(SqlServiceTiming, AClientThatGoesEndsTheStatement) {
  session::FakeEngine engine;
  Door door(engine);
  int seen = 0;
  const Answer answer =
      door.Run(Statement("wide 1000000"), kTestToken, [&](const Answer&) { return ++seen < 3; });
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return engine.open_streams == 0 && engine.connections == 0; }));
}

TEST(SqlServiceTiming, WhatIsThereGoesOutBeforeTheRest) {
  session::FakeEngine engine;
  Door door(engine);
  int pieces_before_the_end = 0;
  const Answer answer = door.Run(Statement("break 200000"), kTestToken, [&](const Answer& so_far) {
    pieces_before_the_end += so_far.failure ? 0 : 1;
    return true;
  });
  EXPECT_GT(pieces_before_the_end, 3);
  ASSERT_TRUE(answer.failure);
  EXPECT_THAT(answer.document, HasSubstr("{\"n\":199999}\n{\"error\""));
}

TEST(SqlServiceTiming, ErrorsInTheMiddle) {
  session::FakeEngine engine;
  Door door(engine);
  const Answer json = door.Run(Statement("break 200000", proto::FORMAT_JSON));
  ASSERT_TRUE(json.failure);
  EXPECT_TRUE(json.failure->told());
  EXPECT_TRUE(
      json.document.ends_with("\n],\"row_count\":200000,\"error\":{\"code\":\"sql_error\",\"detail\":"
                              "\"Conversion Error: boom\"}}\n"));
  const Answer csv = door.Run(Statement("break 200000", proto::FORMAT_CSV));
  ASSERT_TRUE(csv.failure);
  EXPECT_FALSE(csv.failure->told());
  EXPECT_TRUE(csv.document.ends_with("199999\n"));
  // Before anything has gone out there is nothing but the error.
  const Answer early = door.Run(Statement("break 1", proto::FORMAT_JSON));
  ASSERT_TRUE(early.failure);
  EXPECT_TRUE(early.document.empty());
}

TEST(SqlServiceTiming, ADrainingWorkerTakesNoStatement) {
  session::FakeEngine engine;
  Door door(engine);
  door.runner().Drain();
  const Answer answer = door.Run(Statement("rows 1"));
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code(), "unavailable");
}

}  // namespace
}  // namespace pondpilot::worker::documents
