#include "worker/engine/lock_down.h"

#include <gtest/gtest.h>

#include "worker/engine/duckdb_headers.h"

namespace pondpilot::worker::engine {
namespace {

TEST(LockDown, WhatItTakesAwayIsFoundWhileItIsThere) {
  duckdb::DuckDB database(nullptr);
  duckdb::Connection own(database);
  for (const char* sql : {"LOAD postgres_scanner", "LOAD mysql_scanner", "LOAD sqlite_scanner"})
    ASSERT_FALSE(own.Query(sql)->HasError()) << sql;
  EXPECT_NE(RemainingFunction(own), "");
  const auto locked = LockDown(own);
  ASSERT_TRUE(locked) << locked.error().detail;
  EXPECT_EQ(RemainingFunction(own), "");
}

}  // namespace
}  // namespace pondpilot::worker::engine
