#include "worker/flight/statement_text.h"

#include <gtest/gtest.h>

namespace pondpilot::worker::flight {
namespace {

TEST(StatementText, CountsStatementsAndNotBlanksOrComments) {
  EXPECT_EQ(LookAt("").statements, 0u);
  EXPECT_EQ(LookAt(" ;; -- nothing\n/* at /* all */ ; */ ;").statements, 0u);
  EXPECT_EQ(LookAt("SELECT 1").statements, 1u);
  EXPECT_EQ(LookAt("SELECT ';' ; -- ;").statements, 1u);
  EXPECT_EQ(LookAt("SELECT 1; SELECT 2").statements, 2u);
}

TEST(StatementText, QuotesHideWhatTheyHold) {
  for (const char* sql : {"SELECT ';?$1'", R"(SELECT "a;?")", "SELECT $$;?$1$$", "SELECT $x$;$$?$x$",
                          R"(SELECT E'\';?')", "SELECT 'it''s;?'", "SELECT 1 -- ;?\n", "SELECT /* ;? */ 1"}) {
    const StatementText text = LookAt(sql);
    EXPECT_EQ(text.statements, 1u) << sql;
    EXPECT_FALSE(text.has_parameters) << sql;
  }
}

TEST(StatementText, FindsParameters) {
  for (const char* sql : {"SELECT ?", "SELECT $1", "SELECT $name", "SELECT ?1", "SELECT 'a', ? FROM t"})
    EXPECT_TRUE(LookAt(sql).has_parameters) << sql;
  EXPECT_FALSE(LookAt("SELECT a$1 FROM t").has_parameters) << "a name may hold a dollar sign";
}

TEST(StatementText, FirstWordAndFirstStatement) {
  EXPECT_EQ(LookAt("/* hi */ Select 1").first_word, "select");
  EXPECT_EQ(LookAt("(SELECT 1)").first_word, "(");
  EXPECT_EQ(LookAt(" SELECT ';' ; -- end").first, "SELECT ';' ");
  EXPECT_EQ(LookAt("SELECT 1 -- end").first, "SELECT 1 -- end");
}

TEST(StatementText, SurvivesTextsThatBreakOff) {
  for (const char* sql : {"'", "\"", "E'\\", "/*", "--", "$", "$a$", "$a", "?", "SELECT 'a", "/* /* */"})
    (void)LookAt(sql);
}

TEST(StatementText, WhatMayBeAQuery) {
  for (const char* sql :
       {"SELECT 1", "with a as (select 1) from a;", "FROM t", "VALUES (1)", "(SELECT 1)", "SHOW TABLES"})
    EXPECT_TRUE(MayBeQuery(LookAt(sql))) << sql;
  for (const char* sql :
       {"", "INSERT INTO t VALUES (1)", "SELECT 1; SELECT 2", "CREATE TABLE t(a int)", "SET x = 1"})
    EXPECT_FALSE(MayBeQuery(LookAt(sql))) << sql;
}

}  // namespace
}  // namespace pondpilot::worker::flight
