#include "worker/flight/sql_info.h"

#include <arrow/flight/sql/types.h>
#include <gtest/gtest.h>

namespace pondpilot::worker::flight {
namespace {

using Id = arrow::flight::sql::SqlInfoOptions;

// JDBC's driver asks for all at once and trips over any that is missing.
TEST(SqlInfo, AnswersEveryId) {
  const std::pair<int, int> ranges[] = {
      {Id::FLIGHT_SQL_SERVER_NAME, Id::FLIGHT_SQL_SERVER_INGEST_TRANSACTIONS_SUPPORTED},
      {Id::FLIGHT_SQL_SERVER_STATEMENT_TIMEOUT, Id::FLIGHT_SQL_SERVER_TRANSACTION_TIMEOUT},
      {Id::SQL_DDL_CATALOG, Id::SQL_STORED_FUNCTIONS_USING_CALL_SYNTAX_SUPPORTED}};
  size_t ids = 0;
  for (const auto& [first, last] : ranges) {
    for (int id = first; id <= last; ++id, ++ids) EXPECT_TRUE(SqlInfo().contains(id)) << id;
  }
  EXPECT_EQ(SqlInfo().size(), ids);
}

// Each in the part of the union that clients read without a look at the others.
TEST(SqlInfo, HasTheTypesThatClientsRead) {
  for (int id = Id::SQL_MAX_BINARY_LITERAL_LENGTH; id <= Id::SQL_DEFAULT_TRANSACTION_ISOLATION; ++id) {
    if (id == Id::SQL_MAX_ROW_SIZE_INCLUDES_BLOBS) continue;
    EXPECT_TRUE(std::holds_alternative<int64_t>(SqlInfo().at(id))) << id;
  }
  EXPECT_EQ(std::get<int32_t>(SqlInfo().at(Id::FLIGHT_SQL_SERVER_TRANSACTION)),
            Id::SQL_SUPPORTED_TRANSACTION_TRANSACTION);
}

}  // namespace
}  // namespace pondpilot::worker::flight
