#include "worker/engine/lock_down.h"

#include <gtest/gtest.h>

#include "worker/engine/duckdb_headers.h"

namespace pondpilot::worker::engine {
namespace {

class LockDownTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* sql : {"SET GLOBAL allow_persistent_secrets = false", "LOAD postgres_scanner",
                            "LOAD mysql_scanner", "LOAD sqlite_scanner",
                            "CREATE SECRET warm_up (TYPE postgres, HOST 'none')", "DROP SECRET warm_up"}) {
      const auto done = own_.Query(sql);
      ASSERT_FALSE(done->HasError()) << sql << ": " << done->GetError();
    }
  }
  // Empty when it is proven.
  std::string Unproven(const std::vector<Attachment>& attachments = {}) {
    const auto proven = ProveLockDown(database_, attachments);
    return proven ? "" : proven.error().detail;
  }

  duckdb::DuckDB database_{nullptr};
  duckdb::Connection own_{database_};
};

TEST_F(LockDownTest, WhatItTakesAwayIsFoundWhileItIsThere) {
  EXPECT_NE(RemainingFunction(own_), "");
  EXPECT_FALSE(ProveRestricted(database_));
  const auto restricted = Restrict(own_);
  ASSERT_TRUE(restricted) << restricted.error().detail;
  EXPECT_EQ(RemainingFunction(own_), "");
  EXPECT_TRUE(ProveRestricted(database_));
}

// Whatever kind of function has the name, and wherever it stands.
TEST_F(LockDownTest, AFunctionUnderAnotherSchemaOrKindIsFound) {
  ASSERT_TRUE(Restrict(own_));
  ASSERT_FALSE(own_.Query("CREATE SCHEMA aside")->HasError());
  ASSERT_FALSE(own_.Query("ATTACH ':memory:' AS other")->HasError());
  for (const std::string schema : {"memory.main", "memory.aside", "other.main"}) {
    for (const std::string body : {"(x) AS x", "(x) AS TABLE SELECT x"}) {
      const std::string macro = schema + ".postgres_query";
      const auto made = own_.Query("CREATE MACRO " + macro + body);
      ASSERT_FALSE(made->HasError()) << made->GetError();
      EXPECT_EQ(RemainingFunction(own_), "postgres_query") << macro << body;
      ASSERT_FALSE(
          own_.Query((body.find("TABLE") == std::string::npos ? "DROP MACRO " : "DROP MACRO TABLE ") + macro)
              ->HasError());
      EXPECT_EQ(RemainingFunction(own_), "");
    }
  }
}

TEST_F(LockDownTest, EachStepIsMissedByTheProof) {
  EXPECT_NE(Unproven(), "") << "nothing was done";
  ASSERT_TRUE(Restrict(own_));
  EXPECT_NE(Unproven(), "") << "what is the same for all is not enough";
  ASSERT_TRUE(LockDown(own_));
  EXPECT_EQ(Unproven(), "");
}

TEST_F(LockDownTest, TheLockAloneIsNotEnough) {
  ASSERT_FALSE(own_.Query("SET GLOBAL enable_external_access = false")->HasError());
  ASSERT_FALSE(own_.Query("SET GLOBAL lock_configuration = true")->HasError());
  EXPECT_NE(Unproven().find("still there"), std::string::npos) << Unproven();
}

TEST_F(LockDownTest, ASecretThatIsLeftIsFound) {
  ASSERT_TRUE(Restrict(own_));
  ASSERT_FALSE(own_.Query("CREATE SECRET kept (TYPE postgres, HOST 'none')")->HasError());
  ASSERT_TRUE(LockDown(own_));
  EXPECT_NE(Unproven().find("a secret is left"), std::string::npos) << Unproven();
}

TEST_F(LockDownTest, APasswordThatCanBeReadIsFound) {
  ASSERT_FALSE(own_.Query("ATTACH ':memory:' AS hunter2hunter2")->HasError());
  ASSERT_TRUE(Restrict(own_));
  ASSERT_TRUE(LockDown(own_));
  Attachment attachment;
  attachment.alias = "absent";
  EXPECT_EQ(Unproven({attachment}), "");
  attachment.server.password = base::Secret("hunter2hunter2");
  EXPECT_NE(Unproven({attachment}).find("the password of absent can be read"), std::string::npos);
}

}  // namespace
}  // namespace pondpilot::worker::engine
