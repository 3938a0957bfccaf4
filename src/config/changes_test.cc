#include "config/changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pondpilot::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ChangesTest, NothingForTheSame) {
  const Changes changes = Compare(Config(), Config());
  EXPECT_THAT(changes.taken, IsEmpty());
  EXPECT_THAT(changes.needs_restart, IsEmpty());
}

TEST(ChangesTest, SortsWhatARunningProxyTakesFromTheRest) {
  Config after;
  after.server.port = 9000;
  after.containers.warm = 7;
  after.log.level = "debug";
  after.containers.image = "other:1";
  const Changes changes = Compare(Config(), after);
  EXPECT_THAT(changes.taken, ElementsAre("containers.warm", "log.level"));
  EXPECT_THAT(changes.needs_restart, ElementsAre("server.port", "containers.image"));
}

TEST(ChangesTest, APasswordOfADatabaseIsAChange) {
  AttachedDatabase database;
  database.alias = "shop";
  database.server = ServerTarget{"db", 5432, "shop", "me", base::Secret("old"), {}};
  Config before;
  before.duckdb.attached_databases = {database};
  Config after = before;
  EXPECT_THAT(Compare(before, after).taken, IsEmpty());
  after.duckdb.attached_databases[0].server->password = base::Secret("new");
  EXPECT_THAT(Compare(before, after).taken, ElementsAre("duckdb.attached_databases"));
  after.duckdb.attached_databases.clear();
  EXPECT_THAT(Compare(before, after).taken, ElementsAre("duckdb.attached_databases"));
}

}  // namespace
}  // namespace pondpilot::config
