#include "worker/flight/sql_info.h"

#include <arrow/flight/sql/types.h>
#include <arrow/util/config.h>

#include <string>
#include <vector>

#include "worker/flight/query_door.h"
#include "worker/session/session_registry.h"

namespace pondpilot::worker::flight {

const arrow::flight::sql::SqlInfoResultMap& SqlInfo() {
  using Id = arrow::flight::sql::SqlInfoOptions;
  using Result = arrow::flight::sql::SqlInfoResult;
  using std::chrono::milliseconds;
  const auto text = [](const char* value) { return Result(std::string(value)); };
  const auto texts = [](std::vector<std::string> values) { return Result(std::move(values)); };
  const auto number = [](int64_t value) { return Result(value); };
  // Bit sets and enumerations stand in the int32 part of the union.
  const auto bits = [](int32_t value) { return Result(value); };
  static const arrow::flight::sql::SqlInfoResultMap kInfo = {
      {Id::FLIGHT_SQL_SERVER_NAME, text("PondPilot Proxy")},
      {Id::FLIGHT_SQL_SERVER_VERSION, text("0.1.0")},
      {Id::FLIGHT_SQL_SERVER_ARROW_VERSION, text(ARROW_VERSION_STRING)},
      {Id::FLIGHT_SQL_SERVER_READ_ONLY, Result(false)},
      {Id::FLIGHT_SQL_SERVER_SQL, Result(true)},
      {Id::FLIGHT_SQL_SERVER_SUBSTRAIT, Result(false)},
      // DuckDB has no savepoints.
      {Id::FLIGHT_SQL_SERVER_TRANSACTION, bits(Id::SQL_SUPPORTED_TRANSACTION_TRANSACTION)},
      {Id::FLIGHT_SQL_SERVER_CANCEL, Result(true)},
      {Id::FLIGHT_SQL_SERVER_BULK_INGESTION, Result(true)},
      {Id::FLIGHT_SQL_SERVER_INGEST_TRANSACTIONS_SUPPORTED, Result(true)},
      {Id::FLIGHT_SQL_SERVER_STATEMENT_TIMEOUT, bits(0)},
      {Id::FLIGHT_SQL_SERVER_TRANSACTION_TIMEOUT,
       bits(static_cast<int32_t>(milliseconds(session::SessionRegistry::kTransactionIdleLife).count()))},
      {Id::SQL_DDL_CATALOG, Result(false)},
      {Id::SQL_DDL_SCHEMA, Result(true)},
      {Id::SQL_DDL_TABLE, Result(true)},
      {Id::SQL_IDENTIFIER_CASE, bits(Id::SQL_CASE_SENSITIVITY_CASE_INSENSITIVE)},
      {Id::SQL_IDENTIFIER_QUOTE_CHAR, text("\"")},
      {Id::SQL_QUOTED_IDENTIFIER_CASE, bits(Id::SQL_CASE_SENSITIVITY_CASE_INSENSITIVE)},
      {Id::SQL_ALL_TABLES_ARE_SELECTABLE, Result(true)},
      {Id::SQL_NULL_ORDERING, bits(Id::SQL_NULLS_SORTED_AT_END)},
      {Id::SQL_NUMERIC_FUNCTIONS, texts({"abs", "ceil", "exp", "floor", "ln", "log", "mod", "pi", "pow",
                                         "random", "round", "sign", "sqrt"})},
      {Id::SQL_STRING_FUNCTIONS, texts({"concat", "length", "lower", "lpad", "ltrim", "replace", "reverse",
                                        "rpad", "rtrim", "substring", "trim", "upper"})},
      {Id::SQL_SYSTEM_FUNCTIONS, texts({"current_catalog", "current_schema", "version"})},
      {Id::SQL_DATETIME_FUNCTIONS, texts({"current_date", "current_timestamp", "date_diff", "date_part",
                                          "date_trunc", "now", "strftime"})},
      {Id::SQL_SEARCH_STRING_ESCAPE, text("\\")},
      {Id::SQL_EXTRA_NAME_CHARACTERS, text("")},
      {Id::SQL_SUPPORTS_COLUMN_ALIASING, Result(true)},
      {Id::SQL_NULL_PLUS_NULL_IS_NULL, Result(true)},
      {Id::SQL_SUPPORTS_TABLE_CORRELATION_NAMES, Result(true)},
      {Id::SQL_SUPPORTS_DIFFERENT_TABLE_CORRELATION_NAMES, Result(false)},
      {Id::SQL_SUPPORTS_EXPRESSIONS_IN_ORDER_BY, Result(true)},
      {Id::SQL_SUPPORTS_ORDER_BY_UNRELATED, Result(true)},
      // Columns that are not selected, and more than those that are.
      {Id::SQL_SUPPORTED_GROUP_BY, bits(0b11)},
      {Id::SQL_SUPPORTS_LIKE_ESCAPE_CLAUSE, Result(true)},
      {Id::SQL_SUPPORTS_NON_NULLABLE_COLUMNS, Result(true)},
      {Id::SQL_SCHEMA_TERM, text("schema")},
      {Id::SQL_PROCEDURE_TERM, text("")},
      {Id::SQL_CATALOG_TERM, text("database")},
      {Id::SQL_CATALOG_AT_START, Result(true)},
      {Id::SQL_SELECT_FOR_UPDATE_SUPPORTED, Result(false)},
      {Id::SQL_STORED_PROCEDURES_SUPPORTED, Result(false)},
      {Id::SQL_CORRELATED_SUBQUERIES_SUPPORTED, Result(true)},
      // DuckDB bounds none of these but the text itself; 0 says "no bound that is known".
      {Id::SQL_MAX_STATEMENT_LENGTH, number(static_cast<int64_t>(QueryDoor::kMaxSqlBytes))},
      {Id::SQL_MAX_ROW_SIZE_INCLUDES_BLOBS, Result(true)},
      {Id::SQL_TRANSACTIONS_SUPPORTED, Result(true)},
      {Id::SQL_DATA_DEFINITION_CAUSES_TRANSACTION_COMMIT, Result(false)},
      {Id::SQL_DATA_DEFINITIONS_IN_TRANSACTIONS_IGNORED, Result(false)},
      {Id::SQL_BATCH_UPDATES_SUPPORTED, Result(true)},
      {Id::SQL_SAVEPOINTS_SUPPORTED, Result(false)},
      {Id::SQL_NAMED_PARAMETERS_SUPPORTED, Result(true)},
      {Id::SQL_LOCATORS_UPDATE_COPY, Result(false)},
  };
  return kInfo;
}

}  // namespace pondpilot::worker::flight
