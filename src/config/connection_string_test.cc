#include "config/connection_string.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace pondpilot::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

TEST(ConnectionStringTest, PostgresWithEverything) {
  const auto target = ParseServerTarget(
      DatabaseKind::kPostgres,
      "postgresql://user:pw@db.example.com:6432/shop?sslmode=require&application_name=duck");
  ASSERT_TRUE(target) << target.error();
  EXPECT_EQ(target->host, "db.example.com");
  EXPECT_EQ(target->port, 6432);
  EXPECT_EQ(target->database, "shop");
  EXPECT_EQ(target->user, "user");
  EXPECT_EQ(target->password.Reveal(), "pw");
  EXPECT_THAT(target->options, ElementsAre(Pair("application_name", "duck"), Pair("sslmode", "require")));
}

TEST(ConnectionStringTest, SchemesAndDefaultPorts) {
  const auto port = [](DatabaseKind kind, std::string_view text) {
    const auto target = ParseServerTarget(kind, text);
    EXPECT_TRUE(target) << text << ": " << (target ? "" : target.error());
    return target ? target->port : 0;
  };
  EXPECT_EQ(port(DatabaseKind::kPostgres, "postgres://u:p@h/d"), 5432);
  EXPECT_EQ(port(DatabaseKind::kPostgres, "PostgreSQL://u:p@h:/d"), 5432);
  EXPECT_EQ(port(DatabaseKind::kMysql, "mysql://u:p@h/d"), 3306);
  EXPECT_EQ(port(DatabaseKind::kMysql, "mariadb://u:p@h:3307/d"), 3307);
}

TEST(ConnectionStringTest, PercentDecodesUserPasswordAndDatabase) {
  const auto target =
      ParseServerTarget(DatabaseKind::kPostgres, "postgresql://us%40er:p%3A%2F%23%25%20%C3%A9@h/my%20db");
  ASSERT_TRUE(target) << target.error();
  EXPECT_EQ(target->user, "us@er");
  EXPECT_EQ(target->password.Reveal(), "p:/#% é");
  EXPECT_EQ(target->database, "my db");
}

TEST(ConnectionStringTest, ThePasswordMayHoldColonsOrBeMissing) {
  EXPECT_EQ(ParseServerTarget(DatabaseKind::kMysql, "mysql://u:a:b@h/d")->password.Reveal(), "a:b");
  EXPECT_TRUE(ParseServerTarget(DatabaseKind::kMysql, "mysql://u@h/d")->password.empty());
  EXPECT_TRUE(ParseServerTarget(DatabaseKind::kMysql, "mysql://u:@h/d")->password.empty());
}

TEST(ConnectionStringTest, AddressesOfBothFamilies) {
  EXPECT_EQ(ParseServerTarget(DatabaseKind::kPostgres, "postgres://u:p@[2001:db8::1]:5433/d")->host,
            "2001:db8::1");
  EXPECT_EQ(ParseServerTarget(DatabaseKind::kPostgres, "postgres://u:p@192.0.2.7/d")->host, "192.0.2.7");
}

TEST(ConnectionStringTest, MysqlOptionsInTheirUsualSpelling) {
  const auto target =
      ParseServerTarget(DatabaseKind::kMysql, "mysql://u:p@h/d?ssl-mode=VERIFY_CA&ssl-ca=/etc/ca.pem");
  ASSERT_TRUE(target) << target.error();
  EXPECT_THAT(target->options, ElementsAre(Pair("ssl_ca", "/etc/ca.pem"), Pair("ssl_mode", "verify_ca")));
}

struct Bad {
  const char* text;
  const char* says;
};

TEST(ConnectionStringTest, RefusesAndSaysWhatIsWrongWithoutTheText) {
  constexpr Bad kBad[] = {
      {"", "empty"},
      {"s3cr3t", "must look like"},
      {"host=h user=u password=s3cr3t dbname=d", "host=…"},
      {"mysql://u:s3cr3t@h/d", "type: mysql"},
      {"/s3cr3t/x.db", "type: sqlite"},
      {"postgresql:u:s3cr3t@h/d", "must look like"},
      {"postgresql://", "no user"},
      {"postgresql:///d", "no user"},
      {"postgresql://h/d", "no user"},
      {"postgresql://:s3cr3t@h/d", "no user"},
      {"postgresql://u:s3cr3t@/d", "no host"},
      {"postgresql://u:s3cr3t@:5432/d", "no host"},
      {"postgresql://u:s3cr3t@h", "no database"},
      {"postgresql://u:s3cr3t@h/", "no database"},
      {"postgresql://u:s3cr3t@h/d/e", "one name only"},
      {"postgresql://u:s3cr3t@h:0/d", "port"},
      {"postgresql://u:s3cr3t@h:65536/d", "port"},
      {"postgresql://u:s3cr3t@h:99999999999999999999/d", "port"},
      {"postgresql://u:s3cr3t@h:s3cr3t/d", "port"},
      {"postgresql://u:s3cr3t@h:-1/d", "port"},
      {"postgresql://u:s3cr3t@x@h/d", "percent-encoded"},
      {"postgresql://u:s3cr3t/x@h/d", "percent-encoded"},
      {"postgresql://u:s3cr3t%zz@h/d", "percent-encoded"},
      {"postgresql://u:s3cr3t%4@h/d", "percent-encoded"},
      {"postgresql://u:s3cr3t^@h/d", "percent-encoded"},
      {"postgresql://u:s3cr3t @h/d", "percent-encoded"},
      {"postgresql://u:s3cr3t\n@h/d", "percent-encoded"},
      {"postgresql://u:s3cr3t%00@h/d", "control character"},
      {"postgresql://u:s3cr3t%0A@h/d", "control character"},
      {"postgresql://u:s3cr3t%FF@h/d", "UTF-8"},
      {"postgresql://u%00:s3cr3t@h/d", "control character"},
      {"postgresql://u:s3cr3t@h/d%00", "control character"},
      {"postgresql://u:s3cr3t@%2Frun%2Fpg/d", "socket"},
      {"postgresql://u:s3cr3t@h1,h2/d", "several hosts"},
      {"postgresql://u:s3cr3t@h%20x/d", "host name"},
      {"postgresql://u:s3cr3t@-h/d", "host name"},
      {"postgresql://u:s3cr3t@[::1/d", "must look like"},
      {"postgresql://u:s3cr3t@[fe80::1%25eth0]/d", "zone"},
      {"postgresql://u:s3cr3t@h/d#x", "%23"},
      {"postgresql://u:s3cr3t@h/d?ssl_mod=require", "did you mean \"sslmode\""},
      {"postgresql://u:s3cr3t@h/d?s3cr3t=1", "not known"},
      {"postgresql://u:s3cr3t@h/d?sslmode=s3cr3t", "verify-full"},
      {"postgresql://u:s3cr3t@h/d?sslmode", "not allowed"},
      {"postgresql://u:s3cr3t@h/d?sslmode=require&sslmode=require", "twice"},
      {"postgresql://u:s3cr3t@h/d?connect_timeout=0", "from 1 to 60"},
      {"postgresql://u:s3cr3t@h/d?connect_timeout=61", "from 1 to 60"},
      {"postgresql://u:s3cr3t@h/d?application_name=a%27b", "letters"},
      {"postgresql://u:s3cr3t@h/d?sslrootcert=relative.pem", "absolute path"},
      {"postgresql://u:s3cr3t@h/d?sslrootcert=/a%27b", "absolute path"},
      {"postgresql://u:s3cr3t@h/d?options=-csearch_path%3Dx", "not known"},
      {"postgresql://u:s3cr3t@h/d?host=evil", "not known"},
      {"postgresql://u:s3cr3t@h/d?passfile=/etc/passwd", "not known"},
  };
  for (const Bad& bad : kBad) {
    const auto target = ParseServerTarget(DatabaseKind::kPostgres, bad.text);
    ASSERT_FALSE(target) << bad.text;
    EXPECT_THAT(target.error(), HasSubstr(bad.says)) << bad.text;
    EXPECT_THAT(target.error(), Not(HasSubstr("s3cr3t"))) << bad.text;
  }
  const auto mysql = ParseServerTarget(DatabaseKind::kMysql, "mysql://u:s3cr3t@h/d?sslmode=require");
  ASSERT_FALSE(mysql);
  EXPECT_THAT(mysql.error(), HasSubstr("did you mean \"ssl_mode\""));
}

TEST(ConnectionStringTest, RefusesOverlongText) {
  EXPECT_FALSE(ParseServerTarget(DatabaseKind::kPostgres, "postgresql://u:p@h/" + std::string(200, 'd')));
  EXPECT_FALSE(
      ParseServerTarget(DatabaseKind::kPostgres, "postgresql://u:p@" + std::string(300, 'h') + "/d"));
  EXPECT_FALSE(
      ParseServerTarget(DatabaseKind::kPostgres, "postgresql://u:" + std::string(5000, 'p') + "@h/d"));
}

TEST(ConnectionStringTest, MutatedTextNeverCrashesAndErrorsNeverQuoteIt) {
  const std::string good =
      "postgresql://user:hunter2pw@db.example.com:5432/shop?sslmode=require&connect_timeout=5";
  std::mt19937 random(7);
  const std::string_view kBytes = "@:/?#%[]&=,\\ \n\0\x80z0-";
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (unsigned changes = 1 + random() % 4; changes > 0 && !text.empty(); --changes) {
      const size_t at = random() % text.size();
      const char byte = kBytes[random() % kBytes.size()];
      switch (random() % 3) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.insert(at, 1, byte);
          break;
        default:
          text.erase(at, 1 + random() % 3);
      }
    }
    const auto target = ParseServerTarget(DatabaseKind::kPostgres, text);
    if (target) {
      EXPECT_FALSE(target->host.empty());
      EXPECT_NE(target->port, 0);
      EXPECT_FALSE(target->database.empty());
    } else {
      EXPECT_THAT(target.error(), Not(HasSubstr("unter2"))) << text;
    }
  }
}

TEST(ConnectionStringTest, SqlitePaths) {
  EXPECT_EQ(ParseSqlitePath("/data/shop.db"), "/data/shop.db");
  EXPECT_EQ(ParseSqlitePath("/data/100%.db"), "/data/100%.db");
  EXPECT_EQ(ParseSqlitePath("sqlite:///data/my%20shop.db"), "/data/my shop.db");
  for (const char* bad :
       {"", "shop.db", "./shop.db", "/", "/data/", "/data/../etc/shadow", "/data/..", "/data//x",
        "sqlite://shop.db", "sqlite:shop.db", "sqlite:///a%zz", "sqlite:///a?mode=ro", "/a\nb", "/a\xff",
        "sqlite:///a%00b", "postgresql://u:p@h/d", "~/x.db"}) {
    EXPECT_FALSE(ParseSqlitePath(bad)) << bad;
  }
}

TEST(ConnectionStringTest, LoopbackHosts) {
  for (const char* host : {"localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1"})
    EXPECT_TRUE(IsLoopbackHost(host));
  for (const char* host :
       {"db", "10.0.0.1", "127.example.com", "localhost.example.com", "host.docker.internal"}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

}  // namespace
}  // namespace pondpilot::config
