// Quack's messages on a real engine, without a network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "quack/golden.h"
#include "quack/messages.h"
#include "quack/wire.h"
#include "worker/flight/locked_engine.h"
#include "worker/quack/connection.h"
#include "worker/quack/responder.h"
#include "worker/session/eventually.h"

namespace pondpilot::worker::quack {
namespace {

using session::Eventually;
using testing::HasSubstr;
using testing::Not;
using wire::Dialect;
using wire::Type;

constexpr char kEndless[] =
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1";

std::string Message(Type type, const std::function<void(wire::Writer&)>& body) {
  std::string out;
  wire::Writer writer(out);
  writer.Field(1);
  writer.Byte(static_cast<uint8_t>(type));
  writer.Field(2);
  writer.Text(std::string(wire::kIdBytes, '0'));
  writer.End();
  body(writer);
  writer.End();
  return out;
}

void WriteId(wire::Writer& writer, uint16_t field, const wire::ResultId& id) {
  writer.Field(field);
  writer.Signed(id.upper);
  writer.Unsigned(id.lower);
}

// The same row as wire::CountChunk, as DuckDB writes one that is a constant.
std::string Constant(int64_t value) {
  std::string chunk = wire::CountChunk(value);
  const std::string columns = wire::golden::Bytes("660001");
  return chunk.insert(chunk.find(columns) + columns.size(), wire::golden::Bytes("5a0002"));
}

// Of the result, out of an answer to PREPARE.
wire::ResultId IdOf(const std::string& answer) {
  const size_t at = answer.rfind(wire::golden::Bytes("ffff0500"));
  if (at == std::string::npos) return {};
  // A fetch has the id in the same form.
  const std::string body = wire::golden::Bytes("0100") + answer.substr(at + 4);
  const auto request = wire::ParseFetchRequest(Dialect::kV1, body);
  return request ? request->result : wire::ResultId{};
}

// A chunk of one BIGINT column, all 0.
std::string Zeros(uint64_t rows) {
  std::string chunk;
  wire::Writer writer(chunk);
  writer.Field(100);
  writer.Unsigned(rows);
  writer.Field(101);
  writer.Unsigned(1);
  writer.Field(100);
  writer.Unsigned(14);
  writer.End();
  writer.Field(102);
  writer.Unsigned(1);
  writer.Field(100);
  writer.Byte(0);
  writer.Field(102);
  writer.Text(std::string(rows * sizeof(int64_t), '\0'));
  writer.End();
  writer.End();
  return chunk;
}

Type TypeOf(const std::string& message) { return static_cast<Type>(message.at(2)); }

class QuackTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { engine_ = std::make_unique<flight::LockedEngine>(); }
  static void TearDownTestSuite() { engine_.reset(); }

  std::string Send(const std::string& message, Dialect dialect, const std::string& name = "a") {
    const auto call = connections_.Get(name, dialect);
    if (!call) return wire::ErrorResponse(dialect, call.error().message);
    std::string whole;
    for (const Part& part : responder_.Respond(call->connection(), message, [] { return false; }, name)) {
      whole += part.bytes;
    }
    return whole;
  }
  std::string Prepare(const std::string& sql, Dialect dialect, const wire::ResultId& id = {},
                      const std::string& name = "a") {
    return Send(Message(Type::kPrepareRequest,
                        [&](wire::Writer& writer) {
                          writer.Field(1);
                          writer.Text(sql);
                          if (dialect == Dialect::kV3) WriteId(writer, 2, id);
                        }),
                dialect, name);
  }
  std::string Fetch(const wire::ResultId& id, Dialect dialect, uint64_t batch = 0, uint64_t acknowledged = 0,
                    const std::string& name = "a") {
    return Send(Message(Type::kFetchRequest,
                        [&](wire::Writer& writer) {
                          WriteId(writer, 1, id);
                          if (batch > 0) {
                            writer.Field(2);
                            writer.Unsigned(batch);
                          }
                          if (acknowledged > 0) {
                            writer.Field(3);
                            writer.Unsigned(acknowledged);
                          }
                        }),
                dialect, name);
  }
  std::string SendRows(const std::string& stream, uint64_t chunks, uint64_t batch, uint64_t last,
                       const std::string& rows) {
    std::string message = Message(Type::kAppendRequest, [&](wire::Writer& writer) {
      writer.Field(1);
      writer.Text(stream);
      if (chunks > 0) {
        writer.Field(2);
        writer.Unsigned(chunks);
      }
      if (last > 0) {
        writer.Field(3);
        writer.Unsigned(last);
      }
      if (batch > 0) {
        writer.Field(4);
        writer.Unsigned(batch);
      }
    });
    return Send(message + rows, Dialect::kV3);
  }
  std::string Cancel(const wire::ResultId& id) {
    return Send(Message(Type::kCancel, [&](wire::Writer& writer) { WriteId(writer, 1, id); }), Dialect::kV3);
  }
  // An upload into `table` that has written a window and waits for more.
  void BeginUpload(const std::string& table) {
    Prepare("CREATE OR REPLACE TABLE " + table + " (a BIGINT)", Dialect::kV3);
    ContinueUpload(table);
  }
  void ContinueUpload(const std::string& table) {
    ASSERT_EQ(
        Prepare("INSERT INTO " + table +
                    " SELECT * FROM scan_data_from_quack_client('s', NULL::STRUCT(col0 BIGINT), ordered "
                    ":= true)",
                Dialect::kV3, kOne),
        wire::WaitingPrepareResponse(kOne));
    const std::string chunk = Zeros(kChunkRows);
    std::string rows;
    for (int i = 0; i < kWindowChunks; ++i) rows += chunk;
    ASSERT_GT(rows.size(), Upload::kWindowBytes);
    ASSERT_EQ(SendRows("s", kWindowChunks, 1, 0, rows), wire::AppendResponse());
  }
  static constexpr uint64_t kChunkRows = 100'000;
  static constexpr int kWindowChunks = 42;
  static constexpr wire::ResultId kOne{7, 1};
  static constexpr wire::ResultId kTwo{7, 2};
  session::Session::State State() { return runner_.sessions().StateOf("quack:a").value(); }

  inline static std::unique_ptr<flight::LockedEngine> engine_;
  base::ManualClock clock_;
  session::StatementRunner runner_{**engine_, base::Clock::System()};
  Connections connections_{runner_, clock_};
  Responder responder_{runner_, connections_};
};

TEST_F(QuackTest, SmallResultsAreOneAnswer) {
  const std::string v3 = Prepare("SELECT 300000::BIGINT AS n", Dialect::kV3, kOne);
  ASSERT_EQ(TypeOf(v3), Type::kPrepareResponse);
  EXPECT_THAT(v3, HasSubstr(Constant(300000)));
  EXPECT_THAT(v3, HasSubstr(wire::PrepareResponseTail(kOne)));
  const std::string v1 = Prepare("SELECT 300000::BIGINT AS n", Dialect::kV1, {}, "b");
  EXPECT_THAT(v1, HasSubstr(Constant(300000)));
  const std::string error = Prepare("SELECT nope", Dialect::kV3, kOne);
  EXPECT_EQ(TypeOf(error), Type::kError);
  EXPECT_THAT(error, HasSubstr("Binder"));
  EXPECT_EQ(TypeOf(Send("rubbish", Dialect::kV1, "b")), Type::kError);
}

TEST_F(QuackTest, BatchesByNumberCanBeHadAgain) {
  ASSERT_EQ(TypeOf(Prepare("SELECT * FROM range(5000000)", Dialect::kV3, kOne)), Type::kPrepareResponse);
  const std::string third = Fetch(kOne, Dialect::kV3, 3);
  const std::string first = Fetch(kOne, Dialect::kV3, 1);
  EXPECT_EQ(TypeOf(first), Type::kFetchResponse);
  EXPECT_NE(first, third);
  EXPECT_EQ(Fetch(kOne, Dialect::kV3, 3), third);
  EXPECT_EQ(TypeOf(Fetch(kOne, Dialect::kV3, 5, 4)), Type::kFetchResponse);
  EXPECT_EQ(TypeOf(Fetch(kOne, Dialect::kV3, 1)), Type::kError) << "it was acknowledged";
  EXPECT_EQ(TypeOf(Fetch(kOne, Dialect::kV3, 100000)), Type::kError) << "too far ahead";
  EXPECT_EQ(TypeOf(Fetch(kTwo, Dialect::kV3, 1)), Type::kError);
  uint64_t batch = 6;
  std::string answer;
  do {
    answer = Fetch(kOne, Dialect::kV3, batch, batch - 1);
    ASSERT_LT(++batch, 1000u);
  } while (answer != wire::FetchEnd(Dialect::kV3, batch - 2));
  EXPECT_EQ(Fetch(kOne, Dialect::kV3, batch + 5), answer) << "the number of the last batch for all behind it";
}

TEST_F(QuackTest, ANewStatementTakesThePlaceOfTheOneBefore) {
  ASSERT_EQ(TypeOf(Prepare("SELECT * FROM range(1000000)", Dialect::kV3, kOne)), Type::kPrepareResponse);
  ASSERT_EQ(TypeOf(Prepare("SELECT 1", Dialect::kV3, kTwo)), Type::kPrepareResponse);
  EXPECT_EQ(TypeOf(Fetch(kOne, Dialect::kV3, 1)), Type::kError);
}

// Threads of one query of version 1 fetch side by side; each has to be told of the end, also when another
// query has begun in the meantime.
TEST_F(QuackTest, TheEndIsToldAgainBehindOtherStatements) {
  const std::string prepared = Prepare("SELECT * FROM range(100000)", Dialect::kV1, {}, "b");
  const wire::ResultId id = IdOf(prepared);
  ASSERT_NE(id, wire::ResultId{});
  const std::string end = wire::FetchEnd(Dialect::kV1, 0);
  for (int i = 0; Fetch(id, Dialect::kV1, 0, 0, "b") != end; ++i) ASSERT_LT(i, 100);
  for (size_t i = 0; i < 2 * Connection::kMaxEnded; ++i) {
    if (i < 10) {
      EXPECT_EQ(Fetch(id, Dialect::kV1, 0, 0, "b"), end) << i;
    }
    ASSERT_EQ(TypeOf(Prepare("SELECT 1", Dialect::kV1, {}, "b")), Type::kPrepareResponse);
  }
  EXPECT_EQ(Fetch(id, Dialect::kV1, 0, 0, "b"), end) << "small results leave no trace";
  EXPECT_EQ(TypeOf(Fetch(kTwo, Dialect::kV1, 0, 0, "b")), Type::kError);
}

// Version 1 can't say that it needs a result no more: LIMIT leaves them half read.
TEST_F(QuackTest, AbandonedResultsMakeWay) {
  constexpr char kLong[] = "SELECT * FROM range(10000000)";
  const wire::ResultId used = IdOf(Prepare(kLong, Dialect::kV1, {}, "b"));
  std::vector<wire::ResultId> abandoned;
  for (int i = 0; i < 20; ++i) {
    const std::string answer = Prepare(kLong, Dialect::kV1, {}, "b");
    ASSERT_EQ(TypeOf(answer), Type::kPrepareResponse) << i << answer;
    abandoned.push_back(IdOf(answer));
    clock_.Advance(std::chrono::seconds(1));
    ASSERT_THAT(Fetch(used, Dialect::kV1, 0, 0, "b"), Not(wire::FetchEnd(Dialect::kV1, 0))) << i;
  }
  EXPECT_EQ(TypeOf(Fetch(used, Dialect::kV1, 0, 0, "b")), Type::kFetchResponse) << "what is read is kept";
  EXPECT_EQ(TypeOf(Fetch(abandoned.front(), Dialect::kV1, 0, 0, "b")), Type::kError);
  EXPECT_EQ(TypeOf(Fetch(abandoned.back(), Dialect::kV1, 0, 0, "b")), Type::kFetchResponse);
  EXPECT_EQ(TypeOf(Prepare("SELECT 42", Dialect::kV1, {}, "b")), Type::kPrepareResponse);
  // Nor is one kept for as long as its client does other things.
  clock_.Advance(Connections::kOldResultLife - std::chrono::seconds(1));
  EXPECT_EQ(TypeOf(Fetch(used, Dialect::kV1, 0, 0, "b")), Type::kFetchResponse);
  clock_.Advance(std::chrono::seconds(2));
  connections_.Sweep();
  EXPECT_EQ(TypeOf(Fetch(used, Dialect::kV1, 0, 0, "b")), Type::kFetchResponse);
  EXPECT_EQ(TypeOf(Fetch(abandoned.back(), Dialect::kV1, 0, 0, "b")), Type::kError);
}

TEST_F(QuackTest, ConnectionsGoWithTheirSessionsAndNotDuringACall) {
  Prepare("SELECT 1", Dialect::kV1, {}, "b");
  connections_.Sweep();
  EXPECT_EQ(connections_.size(), 1u);
  runner_.CloseSession("quack:b");
  connections_.Sweep();
  EXPECT_EQ(connections_.size(), 0u);
  {
    const auto call = connections_.Get("c", Dialect::kV3);
    ASSERT_TRUE(call);
    clock_.Advance(2 * Connections::kLease);
    connections_.Sweep();
    EXPECT_EQ(connections_.size(), 1u);
  }
  clock_.Advance(2 * Connections::kLease);
  connections_.Sweep();
  EXPECT_EQ(connections_.size(), 0u);
}

TEST_F(QuackTest, AStatementThatWasCancelledIsNotTakenForTheOneUnderItsIdNow) {
  Connection connection("x", Dialect::kV3, clock_);
  const auto first = connection.Running(kOne);
  connection.CancelAll(true);
  const auto second = connection.Running(kOne);
  connection.Keep(kOne, first, std::make_shared<OpenRows>(nullptr));
  EXPECT_EQ(connection.FindRows(kOne), nullptr);
  connection.Ended(kOne, first);
  EXPECT_TRUE(connection.holds_results()) << "the second runs";
  connection.Ended(kOne, second);
  EXPECT_FALSE(connection.holds_results());
}

TEST_F(QuackTest, CancelStopsAStatement) {
  std::string answer;
  std::thread runs([&] { answer = Prepare(kEndless, Dialect::kV3, kOne); });
  ASSERT_TRUE(Eventually([&] { return runner_.activity().Get().running_statements > 0; }));
  EXPECT_EQ(Cancel(kOne), wire::Success());
  runs.join();
  EXPECT_EQ(TypeOf(answer), Type::kError);
  EXPECT_THAT(answer, HasSubstr("cancelled"));
}

TEST_F(QuackTest, DisconnectEndsWhatRunsAndRollsBack) {
  Prepare("CREATE OR REPLACE TABLE d (a INTEGER)", Dialect::kV3);
  Prepare("BEGIN", Dialect::kV3);
  Prepare("INSERT INTO d VALUES (1)", Dialect::kV3);
  EXPECT_EQ(Send(Message(Type::kDisconnect, [](wire::Writer&) {}), Dialect::kV3), wire::Success());
  EXPECT_THAT(Prepare("SELECT count(*) AS n FROM d", Dialect::kV3, kOne), HasSubstr(Constant(0)));
}

TEST_F(QuackTest, SilenceEndsALease) {
  Prepare("CREATE TEMP TABLE gone (a INTEGER)", Dialect::kV3);
  clock_.Advance(Connections::kLease - std::chrono::seconds(1));
  connections_.Sweep();
  EXPECT_EQ(Send(Message(Type::kHeartbeat, [](wire::Writer&) {}), Dialect::kV3), wire::Success());
  clock_.Advance(Connections::kLease - std::chrono::seconds(1));
  connections_.Sweep();
  EXPECT_EQ(TypeOf(Prepare("FROM gone", Dialect::kV3, kOne)), Type::kPrepareResponse);
  clock_.Advance(Connections::kLease);
  connections_.Sweep();
  // Who only says that it lives hears nothing of it, and takes nothing of it away.
  EXPECT_EQ(Send(Message(Type::kHeartbeat, [](wire::Writer&) {}), Dialect::kV3), wire::Success());
  EXPECT_EQ(Cancel(kOne), wire::Success());
  clock_.Advance(Connections::kLease);
  connections_.Sweep();
  EXPECT_THAT(Prepare("FROM gone", Dialect::kV3, kOne), HasSubstr("lease"));
  EXPECT_THAT(Prepare("FROM gone", Dialect::kV3, kOne), HasSubstr("gone does not exist"));
  // Without state nothing was lost, and nothing is said.
  Prepare("SELECT 1", Dialect::kV3, kOne, "c");
  clock_.Advance(Connections::kLease);
  connections_.Sweep();
  EXPECT_EQ(TypeOf(Prepare("SELECT 1", Dialect::kV3, kOne, "c")), Type::kPrepareResponse);
}

TEST_F(QuackTest, StreamedInserts) {
  Prepare("CREATE OR REPLACE TABLE up (a BIGINT)", Dialect::kV3);
  const std::string insert =
      "INSERT INTO up SELECT * FROM scan_data_from_quack_client('s1', NULL::STRUCT(col0 BIGINT), ordered := "
      "true)";
  ASSERT_EQ(Prepare(insert, Dialect::kV3, kOne), wire::WaitingPrepareResponse(kOne));
  // The last batch first.
  EXPECT_EQ(SendRows("s1", 2, 2, 0, wire::CountChunk(5) + wire::CountChunk(6)), wire::AppendResponse());
  EXPECT_EQ(SendRows("s1", 0, 0, 2, ""), wire::AppendResponse());
  EXPECT_EQ(SendRows("s1", 1, 1, 0, wire::CountChunk(4)), wire::AppendResponse());
  EXPECT_EQ(Fetch(kOne, Dialect::kV3, 1), wire::FetchResponseHead(Dialect::kV3, 1, 1) + wire::CountChunk(3));
  EXPECT_THAT(Prepare("SELECT sum(a)::BIGINT AS n FROM up", Dialect::kV3, kTwo), HasSubstr(Constant(15)));
  EXPECT_EQ(TypeOf(SendRows("s1", 1, 3, 0, wire::CountChunk(4))), Type::kError) << "it has ended";
}

TEST_F(QuackTest, ABrokenUploadLeavesNothing) {
  Prepare("CREATE OR REPLACE TABLE up (a BIGINT)", Dialect::kV3);
  const std::string insert =
      "INSERT INTO up SELECT * FROM scan_data_from_quack_client('s2', NULL::STRUCT(col0 BIGINT), ordered := "
      "true)";
  ASSERT_EQ(Prepare(insert, Dialect::kV3, kOne), wire::WaitingPrepareResponse(kOne));
  EXPECT_EQ(SendRows("s2", 1, 1, 0, wire::CountChunk(1)), wire::AppendResponse());
  std::string damaged = wire::CountChunk(2);
  damaged.resize(damaged.size() - 5);
  EXPECT_EQ(TypeOf(SendRows("s2", 1, 2, 0, damaged)), Type::kError);
  EXPECT_EQ(TypeOf(Fetch(kOne, Dialect::kV3, 1)), Type::kError);
  EXPECT_THAT(Prepare("SELECT count(*) AS n FROM up", Dialect::kV3, kTwo), HasSubstr(Constant(0)));
}

// However it ends, what was written goes at once, and the next upload has a transaction of its own.
TEST_F(QuackTest, AnUploadThatEndsEarlyIsUndone) {
  std::string damaged = wire::CountChunk(2);
  damaged.resize(damaged.size() - 5);
  const std::vector<std::pair<std::string, std::function<void()>>> ends = {
      {"damaged", [&] { EXPECT_EQ(TypeOf(SendRows("s", 1, 2, 0, damaged)), Type::kError); }},
      {"twice", [&] { EXPECT_EQ(TypeOf(SendRows("s", 1, 1, 0, Zeros(1))), Type::kError); }},
      {"cancelled", [&] { EXPECT_EQ(Cancel(kOne), wire::Success()); }},
      {"superseded", [&] { Prepare("SELECT 1", Dialect::kV3, kTwo); }},
  };
  for (const auto& [how, end] : ends) {
    BeginUpload("early");
    EXPECT_TRUE(State().in_transaction) << how;
    EXPECT_FALSE(State().own_transaction) << how;
    end();
    EXPECT_FALSE(State().in_transaction) << how;
    EXPECT_EQ(TypeOf(SendRows("s", 1, 2, 2, Zeros(1))), Type::kError) << how;
    EXPECT_THAT(Prepare("SELECT count(*) AS n FROM early", Dialect::kV3, kTwo), HasSubstr(Constant(0)))
        << how;
  }
}

// There are no savepoints: the client's own transaction must not keep a part of an upload.
TEST_F(QuackTest, AnUploadThatEndsEarlyInATransactionSpoilsIt) {
  Prepare("CREATE OR REPLACE TABLE own (a BIGINT)", Dialect::kV3);
  for (const bool cancels : {true, false}) {
    ASSERT_EQ(TypeOf(Prepare("BEGIN", Dialect::kV3, kTwo)), Type::kPrepareResponse);
    ContinueUpload("own");
    if (cancels) {
      EXPECT_EQ(Cancel(kOne), wire::Success());
    } else {
      EXPECT_EQ(TypeOf(SendRows("s", 1, 1, 0, Zeros(1))), Type::kError);
    }
    const std::string committed = Prepare("COMMIT", Dialect::kV3, kTwo);
    EXPECT_EQ(TypeOf(committed), Type::kError);
    Prepare("ROLLBACK", Dialect::kV3, kTwo);
    EXPECT_THAT(Prepare("SELECT count(*) AS n FROM own", Dialect::kV3, kTwo), HasSubstr(Constant(0)));
  }
  // Before a window is written there is nothing to spoil.
  Prepare("BEGIN", Dialect::kV3, kTwo);
  Prepare("INSERT INTO own VALUES (1)", Dialect::kV3, kTwo);
  Prepare("INSERT INTO own SELECT * FROM scan_data_from_quack_client('s', NULL)", Dialect::kV3, kOne);
  EXPECT_EQ(Cancel(kOne), wire::Success());
  EXPECT_EQ(TypeOf(Prepare("COMMIT", Dialect::kV3, kTwo)), Type::kPrepareResponse);
  EXPECT_THAT(Prepare("SELECT count(*) AS n FROM own", Dialect::kV3, kTwo), HasSubstr(wire::CountChunk(1)));
}

TEST_F(QuackTest, CancelStopsAWindowThatIsBeingWritten) {
  Prepare("CREATE OR REPLACE TABLE slow (a BIGINT)", Dialect::kV3);
  ASSERT_EQ(Prepare("INSERT INTO slow SELECT (" + std::string(kEndless) +
                        ") FROM scan_data_from_quack_client('s', NULL::STRUCT(col0 BIGINT), ordered := true)",
                    Dialect::kV3, kOne),
            wire::WaitingPrepareResponse(kOne));
  std::string answer;
  std::thread writes([&] { answer = SendRows("s", 1, 1, 1, Zeros(1)); });
  EXPECT_TRUE(Eventually([&] { return runner_.activity().Get().running_statements > 0; }));
  EXPECT_EQ(Cancel(kOne), wire::Success());
  writes.join();
  EXPECT_EQ(TypeOf(answer), Type::kError);
  EXPECT_THAT(answer, HasSubstr("cancelled"));
  EXPECT_FALSE(State().in_transaction);
}

TEST_F(QuackTest, AppendedRows) {
  Prepare("CREATE OR REPLACE TABLE t (i INTEGER, s VARCHAR, d DECIMAL(10,2))", Dialect::kV1, {}, "b");
  std::string append = wire::golden::Bytes(wire::golden::kAppendV1);
  EXPECT_EQ(Send(append, Dialect::kV1, "b"), wire::Success());
  EXPECT_THAT(Prepare("SELECT i::BIGINT AS n FROM t WHERE s = 'z' AND d = 9.99", Dialect::kV1, {}, "b"),
              HasSubstr(wire::CountChunk(9)));
  append.replace(append.find("\x04main\x02"), 5, "\x04nope");
  EXPECT_EQ(TypeOf(Send(append, Dialect::kV1, "b")), Type::kError);
}

// Version 1 writes all columns of a table, those that an INSERT doesn't name as the table's text says.
TEST_F(QuackTest, OldClientsAreToldOfDefaults) {
  Prepare(
      "CREATE OR REPLACE TABLE plain (a INTEGER DEFAULT 7, b VARCHAR DEFAULT 'it''s', c TIMESTAMP DEFAULT "
      "now())",
      Dialect::kV1);
  Prepare(
      "CREATE SEQUENCE IF NOT EXISTS numbers; CREATE OR REPLACE TABLE numbered (a BIGINT DEFAULT "
      "nextval('numbers'))",
      Dialect::kV1);
  Prepare("CREATE OR REPLACE TABLE doubled (a INTEGER, b INTEGER GENERATED ALWAYS AS (a * 2))", Dialect::kV1);
  const std::string tables = Prepare(
      "\nSELECT schema_name, sql, 'table'\nFROM duckdb_tables()\nUNION ALL\nSELECT schema_name, view_name, "
      "'view'\nFROM duckdb_views()\n",
      Dialect::kV1);
  EXPECT_THAT(tables, HasSubstr("\"a\" INTEGER DEFAULT 7, \"b\" VARCHAR DEFAULT 'it''s'"));
  for (const char* name : {"numbered", "doubled"}) {
    EXPECT_THAT(tables, HasSubstr(name)) << "it can be read";
    EXPECT_THAT(tables, Not(HasSubstr("\"" + std::string(name) + "\""))) << "as a view";
  }
  Prepare("DROP TABLE plain; DROP TABLE numbered; DROP TABLE doubled; DROP SEQUENCE numbers", Dialect::kV1);
}

TEST_F(QuackTest, TextsThatOnlySpeakOfAListingRunAsTheyAre) {
  Prepare("ATTACH ':memory:' AS other; CREATE TABLE other.things (a INTEGER)", Dialect::kV1);
  const std::string quoted = "SELECT 'FROM duckdb_columns() WHERE current_database()' AS text";
  EXPECT_THAT(Prepare(quoted, Dialect::kV1), HasSubstr("FROM duckdb_columns() WHERE current_database()"));
  const std::string written = Prepare(
      "CREATE TEMP TABLE c AS SELECT DISTINCT database_name FROM duckdb_columns() WHERE current_database() = "
      "'memory'; SELECT count(*) AS n FROM c WHERE database_name = 'other'",
      Dialect::kV1);
  EXPECT_THAT(written, HasSubstr(Constant(1)));
  Prepare("DETACH other; DROP TABLE c", Dialect::kV1);
}

TEST_F(QuackTest, ListingsForOldClients) {
  Prepare("CREATE OR REPLACE TABLE old_ones (a INTEGER, \"b c\" VARCHAR[])", Dialect::kV1);
  Prepare("CREATE OR REPLACE TABLE new_ones AS SELECT row(1, 2) AS unnamed", Dialect::kV1);
  Prepare("ATTACH ':memory:' AS other; CREATE TABLE other.things (a INTEGER)", Dialect::kV1);
  Prepare(
      "CREATE SCHEMA other.deep; CREATE TABLE other.deep.\"be low\" AS SELECT 77::BIGINT AS n; "
      "CREATE SCHEMA \"other.taken\"; CREATE SCHEMA other.taken; CREATE TABLE other.taken.hidden (a INTEGER)",
      Dialect::kV1);
  const std::string tables = Prepare(
      "\nSELECT schema_name, sql, 'table'\nFROM duckdb_tables()\nUNION ALL\nSELECT schema_name, view_name, "
      "'view'\n"
      "FROM duckdb_views()\n",
      Dialect::kV1);
  EXPECT_THAT(tables, HasSubstr("CREATE TABLE \"main\".\"old_ones\"(\"a\" INTEGER, \"b c\" VARCHAR[]);"));
  EXPECT_THAT(tables, Not(HasSubstr("new_ones")));
  EXPECT_THAT(tables, HasSubstr("things"));
  EXPECT_THAT(tables, HasSubstr("be low"));
  EXPECT_THAT(tables, Not(HasSubstr("hidden"))) << "its schema's name is taken by one of the worker's own";
  const std::string schemas = Prepare(
      "\nSELECT catalog_name, schema_name\nFROM information_schema.schemata\nWHERE catalog_name NOT IN "
      "('system', "
      "'temp')\nORDER BY ALL\n\t",
      Dialect::kV1);
  EXPECT_THAT(schemas, HasSubstr("other"));
  EXPECT_THAT(schemas, HasSubstr("other.deep"));
  const std::string columns = Prepare(
      "SELECT schema_name, table_name FROM duckdb_columns() AS c WHERE database_name = current_database() "
      "AND NOT "
      "internal",
      Dialect::kV1);
  EXPECT_THAT(columns, HasSubstr("things"));
  EXPECT_THAT(columns, HasSubstr("other.deep"));
  EXPECT_THAT(columns, Not(HasSubstr("hidden")));
  EXPECT_EQ(TypeOf(Prepare("FROM other.things", Dialect::kV1)), Type::kPrepareResponse);
  EXPECT_THAT(Prepare("FROM \"other.deep\".\"be low\"", Dialect::kV1), HasSubstr(wire::CountChunk(77)));
  EXPECT_THAT(Prepare("FROM \"other.taken\".hidden", Dialect::kV1), HasSubstr("does not exist"));
  Prepare("DETACH other; DROP TABLE old_ones; DROP TABLE new_ones; DROP SCHEMA \"other.taken\"",
          Dialect::kV1);
}

}  // namespace
}  // namespace pondpilot::worker::quack
