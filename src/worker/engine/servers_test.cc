// The engine against real PostgreSQL and MariaDB servers, given as
//   PONDPILOT_TEST_POSTGRES=user:password@127.0.0.1:5432/database
//   PONDPILOT_TEST_MYSQL=user:password@127.0.0.1:3306/database
// whose user may create tables there. Skipped without them.

#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <regex>
#include <thread>

#include "worker/engine/engine.h"
#include "worker/engine/tcp_forwarder.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::Not;

// nullopt when the variable is not set; fails the test when it is not understood.
std::optional<ServerTarget> FromEnvironment(const char* variable) {
  const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe)
  if (text == nullptr) return std::nullopt;
  static const std::regex form("([^:]+):([^@]+)@([0-9.]+):([0-9]+)/(.+)");
  std::cmatch parts;
  if (!std::regex_match(text, parts, form)) {
    ADD_FAILURE() << variable << " must be user:password@IPv4-address:port/database";
    return std::nullopt;
  }
  return ServerTarget{.host = parts[3],
                      .port = static_cast<uint16_t>(std::stoi(parts[4])),
                      .database = parts[5],
                      .user = parts[1],
                      .password = base::Secret(parts[2]),
                      .options = {}};
}

Attachment To(std::string alias, Attachment::Kind kind, ServerTarget target, bool read_only = true) {
  return {.alias = std::move(alias),
          .kind = kind,
          .read_only = read_only,
          .server = std::move(target),
          .sqlite_path = {},
          .unavailable_reason = {}};
}

ServerTarget Through(const TcpForwarder& forwarder, ServerTarget target) {
  target.host = "127.0.0.1";
  target.port = forwarder.port();
  return target;
}

// One locked engine with a connection.
class Locked {
 public:
  explicit Locked(const std::vector<Attachment>& attachments) {
    std::string path = (std::filesystem::temp_directory_path() / "servers-test-XXXXXX").string();
    folder_ = ::mkdtemp(path.data());
    auto opened = Engine::Open({2048ull << 20, 2, folder_});
    if (!opened) throw std::runtime_error(opened.error().message + opened.error().detail);
    engine = std::move(*opened);
    auto attached = engine->AttachAndLockDown(attachments, {});
    if (!attached) throw std::runtime_error(attached.error().message + attached.error().detail);
    states = std::move(*attached);
    connection = std::move(*engine->Connect());
  }
  ~Locked() {
    connection.reset();
    engine.reset();
    std::filesystem::remove_all(folder_);
  }

  // Rows with | between cells and ; between rows, or "error: " and the message.
  std::string Text(const std::string& sql) {
    auto stream = connection->Execute(sql);
    if (!stream) return "error: " + stream.error().message;
    std::string out;
    for (;;) {
      auto batch = (*stream)->Next();
      if (!batch) return "error: " + batch.error().message;
      if (!*batch) return out;
      EXPECT_TRUE((*batch)->schema()->Equals(*(*stream)->schema()));
      EXPECT_TRUE((*batch)->ValidateFull().ok());
      for (int64_t row = 0; row < (*batch)->num_rows(); ++row) {
        if (!out.empty()) out += ";";
        for (int column = 0; column < (*batch)->num_columns(); ++column) {
          const auto cell = (*batch)->column(column)->GetScalar(row).ValueOrDie();
          out += (column == 0 ? "" : "|") + (cell->is_valid ? cell->ToString() : "NULL");
        }
      }
    }
  }

  std::unique_ptr<Engine> engine;
  std::vector<AttachmentState> states;
  std::unique_ptr<Connection> connection;

 private:
  std::string folder_;
};

class ServersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    postgres_ = FromEnvironment("PONDPILOT_TEST_POSTGRES");
    mysql_ = FromEnvironment("PONDPILOT_TEST_MYSQL");
    if (!postgres_ || !mysql_) {
      GTEST_SKIP() << "needs servers: ./dev test integration runs it over some";
    }
    Locked writer({Pg(false), My(false)});
    for (const char* sql : {
             "DROP TABLE IF EXISTS pg.public.engine_users",
             "CREATE TABLE pg.public.engine_users(id INT, name TEXT, born DATE, seen TIMESTAMPTZ, "
             "score DECIMAL(10,2), token UUID, raw BLOB, clock TIME)",
             "INSERT INTO pg.public.engine_users VALUES (1, 'Ada', '1815-12-10', '2026-01-01 12:00:00+00', "
             "1.50, "
             "'00000000-0000-0000-0000-000000000001', '\\x01'::BLOB, '10:00:00'), "
             "(2, 'Åse 🦆', NULL, NULL, NULL, NULL, NULL, NULL)",
             "DROP TABLE IF EXISTS my.engine_orders",
             "CREATE TABLE my.engine_orders(id BIGINT, user_id INT, total DECIMAL(10,2), note VARCHAR)",
             "INSERT INTO my.engine_orders VALUES (10, 1, 9.50, 'first'), (11, 1, 0.50, NULL), (12, 2, 5, "
             "'x')",
         }) {
      ASSERT_THAT(writer.Text(sql), Not(HasSubstr("error"))) << sql;
    }
  }

  Attachment Pg(bool read_only = true) const {
    return To("pg", Attachment::Kind::kPostgres, *postgres_, read_only);
  }
  Attachment My(bool read_only = true) const {
    return To("my", Attachment::Kind::kMysql, *mysql_, read_only);
  }

  std::optional<ServerTarget> postgres_;
  std::optional<ServerTarget> mysql_;
};

TEST_F(ServersTest, OneStatementJoinsThreeDatabases) {
  std::string folder = (std::filesystem::temp_directory_path() / "servers-lite-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/tags.db";
  sqlite3* file = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &file), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(file, "CREATE TABLE tags(user_id INTEGER, tag TEXT); INSERT INTO tags VALUES (1,'vip')",
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(file);
  Attachment lite = To("sl", Attachment::Kind::kSqlite, {});
  lite.sqlite_path = path;
  {
    Locked locked({Pg(), My(), lite});
    EXPECT_EQ(
        locked.Text("SELECT u.name, sum(o.total), t.tag FROM pg.public.engine_users u "
                    "JOIN my.engine_orders o ON o.user_id = u.id LEFT JOIN sl.tags t ON t.user_id = u.id "
                    "GROUP BY ALL ORDER BY ALL"),
        "Ada|10.00|vip;Åse 🦆|5.00|NULL");
    // What DuckDB would hand to a function that is gone.
    EXPECT_EQ(locked.Text("SELECT count(*), max(id) FROM my.engine_orders"), "3|12");
    EXPECT_EQ(locked.Text("SELECT note FROM my.engine_orders WHERE id = 10"), "first");
    EXPECT_EQ(locked.Text("SELECT id FROM my.engine_orders ORDER BY id DESC LIMIT 1"), "12");
    EXPECT_EQ(locked.Text("SELECT count(*) FROM (SHOW ALL TABLES) WHERE name LIKE 'engine_%'"), "2");
    EXPECT_EQ(locked.Text("USE pg.public; SELECT name FROM engine_users WHERE id = 1"), "Ada");
  }
  std::filesystem::remove_all(folder);
}

TEST_F(ServersTest, TypesOfServers) {
  Locked locked({Pg(), My()});
  const auto stream = locked.connection->Execute("SELECT * FROM pg.public.engine_users");
  ASSERT_TRUE(stream.has_value()) << stream.error().message;
  std::string types;
  for (const auto& field : (*stream)->schema()->fields()) types += field->type()->ToString() + " ";
  EXPECT_EQ(types,
            "int32 string date32[day] timestamp[us, tz=UTC] decimal128(10, 2) string binary time64[us] ");
}

TEST_F(ServersTest, ReadOnlyAttachmentsAreNotWritten) {
  Locked locked({Pg(), My()});
  for (const std::string sql : {
           "INSERT INTO pg.public.engine_users(id) VALUES (9)",
           "DELETE FROM pg.public.engine_users",
           "CREATE TABLE pg.public.engine_bad(a INT)",
           "DROP TABLE pg.public.engine_users",
           "INSERT INTO my.engine_orders(id) VALUES (9)",
           "UPDATE my.engine_orders SET total = 0",
           "DROP TABLE my.engine_orders",
           // NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one text
           "BEGIN; CALL postgres_execute('pg', 'SET TRANSACTION READ WRITE'); "
           "CALL postgres_execute('pg', 'CREATE TABLE engine_bad(a int)'); COMMIT",
           "SELECT * FROM postgres_query('pg', 'DELETE FROM engine_users RETURNING *')",
           "CONNECT pg",
           "BEGIN; CONNECT pg; SET TRANSACTION READ WRITE; CREATE TABLE engine_bad(a int); COMMIT",
           "SELECT * FROM mysql_query('my', 'OPTIMIZE TABLE engine_orders')",
           "CALL mysql_execute('my', 'DROP TABLE engine_orders')",
           "SELECT postgres_pin_connection('pg')",
           "CALL postgres_configure_pool(catalog_name='pg', max_connections=1000)",
           "CHECKPOINT pg",
           "USE pg; CHECKPOINT",
           "SELECT * FROM force_checkpoint('pg')",
           "CHECKPOINT my",
           "ALTER DATABASE pg SET ALIAS TO mine",
           "EXPLAIN ANALYZE ALTER DATABASE my SET ALIAS TO mine",
           "DETACH pg",
           "DETACH my",
           "ATTACH ':memory:' AS pg",
       }) {
    auto connection = std::move(*locked.engine->Connect());
    auto stream = connection->Execute(sql);
    EXPECT_FALSE(stream.has_value()) << sql;
  }
  EXPECT_EQ(locked.Text("SELECT count(*) FROM pg.public.engine_users"), "2");
  EXPECT_EQ(locked.Text("SELECT count(*), sum(total) FROM my.engine_orders"), "3|15.00");
  EXPECT_EQ(locked.Text("SELECT count(*) FROM (SHOW ALL TABLES) WHERE name = 'engine_bad'"), "0");
}

TEST_F(ServersTest, NoSecretCanBeReadBack) {
  Locked locked({Pg(), My()});
  for (const char* sql : {"SELECT * FROM duckdb_databases()", "PRAGMA database_list",
                          "SELECT * FROM duckdb_secrets()", "SELECT * FROM duckdb_settings()",
                          "SELECT * FROM duckdb_views()", "SELECT * FROM duckdb_logs()", "SHOW DATABASES"}) {
    const std::string shown = locked.Text(sql);
    for (const ServerTarget* target : {&*postgres_, &*mysql_}) {
      EXPECT_THAT(shown, Not(HasSubstr(target->password.Reveal()))) << sql;
    }
  }
  EXPECT_THAT(locked.Text("SELECT count(*) FROM duckdb_secrets()"), HasSubstr("error"));
}

TEST_F(ServersTest, SaysWhyADatabaseIsNotThere) {
  ServerTarget password = *postgres_;
  password.password = base::Secret("wrong-password-4711");
  ServerTarget database = *postgres_;
  database.database = "no_such_database";
  ServerTarget my_password = *mysql_;
  my_password.password = base::Secret("wrong-password-4711");
  ServerTarget my_database = *mysql_;
  my_database.database = "no_such_database";
  ServerTarget host = *postgres_;
  host.host = "no-such-host.invalid";
  ServerTarget my_host = *mysql_;
  my_host.host = "no-such-host.invalid";
  using enum Attachment::Kind;
  Locked locked({To("a", kPostgres, password), To("b", kPostgres, database), To("c", kMysql, my_password),
                 To("d", kMysql, my_database), To("e", kPostgres, host), To("f", kMysql, my_host)});
  EXPECT_THAT(locked.states[0].reason, HasSubstr("refused the user or the password"));
  EXPECT_THAT(locked.states[1].reason, HasSubstr("no database of this name"));
  EXPECT_THAT(locked.states[2].reason, HasSubstr("refused the user or the password"));
  // MariaDB tells users without rights on a database that they have none, not that it is missing.
  EXPECT_THAT(locked.states[3].reason,
              ::testing::AnyOf(HasSubstr("no database of this name"), HasSubstr("refused the user")));
  EXPECT_THAT(locked.states[4].reason, HasSubstr("host name is not known"));
  EXPECT_THAT(locked.states[5].reason, HasSubstr("host name is not known"));
  for (const AttachmentState& state : locked.states) {
    EXPECT_FALSE(state.available);
    EXPECT_THAT(state.reason, Not(HasSubstr("4711")));
    EXPECT_THAT(state.reason, Not(HasSubstr("no-such-host")));
    const std::string told = locked.Text("SELECT * FROM " + state.alias + ".t");
    EXPECT_THAT(told, HasSubstr(state.reason));
    EXPECT_THAT(told, Not(HasSubstr(postgres_->user + "@")));
  }
}

TEST_F(ServersTest, SilentHostsCostTheLongestWaitNotTheSum) {
  TcpForwarder silent("127.0.0.1", 0);
  silent.Listen();
  const auto started = steady_clock::now();
  using enum Attachment::Kind;
  Locked locked({To("s1", kPostgres, Through(silent, *postgres_)),
                 To("s2", kPostgres, Through(silent, *postgres_)), To("s3", kMysql, Through(silent, *mysql_)),
                 Pg()});
  EXPECT_LT(steady_clock::now() - started, seconds(8));
  EXPECT_THAT(locked.states[0].reason, HasSubstr("does not answer"));
  EXPECT_THAT(locked.states[2].reason, HasSubstr("does not answer"));
  EXPECT_EQ(locked.Text("SELECT count(*) FROM pg.public.engine_users"), "2");
}

TEST_F(ServersTest, DatabasesThatComeUpLateAreAttachedThen) {
  TcpForwarder to_postgres(postgres_->host, postgres_->port);
  TcpForwarder to_mysql(mysql_->host, mysql_->port);
  using enum Attachment::Kind;
  Locked locked({To("late_pg", kPostgres, Through(to_postgres, *postgres_)),
                 To("late_my", kMysql, Through(to_mysql, *mysql_))});
  EXPECT_THAT(locked.Text("SELECT count(*) FROM late_pg.public.engine_users"), HasSubstr("nothing listens"));
  EXPECT_THAT(locked.Text("SELECT count(*) FROM late_my.engine_orders"), HasSubstr("nothing listens"));
  to_postgres.Listen();
  to_mysql.Listen();
  // A tenant who watches for the moment of external access finds none.
  const auto end = steady_clock::now() + seconds(40);
  bool all = false;
  while (!all && steady_clock::now() < end) {
    EXPECT_THAT(locked.Text("SELECT * FROM read_csv('/etc/hostname')"), HasSubstr("error"));
    EXPECT_THAT(locked.Text("SELECT count(*) FROM duckdb_secrets()"), HasSubstr("error"));
    all = std::ranges::all_of(locked.engine->attachments(), &AttachmentState::available);
  }
  ASSERT_TRUE(all) << locked.engine->attachments()[0].reason << " / "
                   << locked.engine->attachments()[1].reason;
  EXPECT_EQ(locked.Text("SELECT count(*) FROM late_pg.public.engine_users"), "2");
  EXPECT_EQ(locked.Text("SELECT count(*) FROM late_my.engine_orders"), "3");
  EXPECT_THAT(locked.Text("SELECT count(*) FROM duckdb_secrets()"), HasSubstr("error"));
  EXPECT_THAT(locked.Text("DELETE FROM late_pg.public.engine_users"), HasSubstr("read-only"));
  EXPECT_THAT(locked.Text("INSERT INTO late_my.engine_orders(id) VALUES (1)"), HasSubstr("read-only"));
  EXPECT_THAT(locked.Text("ATTACH '/tmp/servers_test.db' AS x"), HasSubstr("error"));
}

class SilentServerTest : public ServersTest, public ::testing::WithParamInterface<bool> {};

TEST_P(SilentServerTest, CancelEndsAScanThatWaitsForIt) {
  const bool postgres = GetParam();
  TcpForwarder forwarder(postgres ? postgres_->host : mysql_->host,
                         postgres ? postgres_->port : mysql_->port);
  forwarder.Listen();
  Locked locked({postgres ? To("db", Attachment::Kind::kPostgres, Through(forwarder, *postgres_))
                          : To("db", Attachment::Kind::kMysql, Through(forwarder, *mysql_))});
  const std::string table = postgres ? "db.public.engine_users" : "db.engine_orders";
  const std::string rows = postgres ? "2" : "3";
  ASSERT_EQ(locked.Text("SELECT count(*) FROM " + table), rows);
  forwarder.FallSilent();
  std::atomic<bool> ended{false};
  base::Error error;
  std::mutex mutex;
  ResultStream* reading = nullptr;  // guarded by `mutex`
  std::thread runner([&] {
    auto stream = locked.connection->Execute("SELECT sum(id) FROM " + table);
    if (!stream) {
      error = stream.error();
    } else {
      {
        const std::lock_guard lock(mutex);
        reading = stream->get();
      }
      if (auto batch = (*stream)->Next(); !batch) error = batch.error();
      const std::lock_guard lock(mutex);
      reading = nullptr;
    }
    ended.store(true);
  });
  // Over and over: the statement may not have begun yet, may be executed, or read.
  const auto started = steady_clock::now();
  while (!ended.load() && steady_clock::now() - started < seconds(30)) {
    locked.connection->Interrupt();
    {
      const std::lock_guard lock(mutex);
      if (reading != nullptr) reading->Cancel();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const auto took = steady_clock::now() - started;
  if (!ended.load()) {
    // Its thread can't be joined: nothing else is left than to end the test program.
    std::fprintf(stderr, "A cancelled scan does not end.\n");
    std::abort();
  }
  runner.join();
  // Shorter than tcp_user_timeout and the keep-alives would take, which would also end it.
  EXPECT_LT(took, seconds(4));
  EXPECT_EQ(error.code, ErrorCode::kCancelled) << error.message;
  EXPECT_EQ(locked.Text("SELECT 42"), "42");
}

INSTANTIATE_TEST_SUITE_P(Kinds, SilentServerTest, ::testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Postgres" : "Mysql"; });

}  // namespace
}  // namespace pondpilot::worker::engine
