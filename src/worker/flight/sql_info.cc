#include "worker/flight/sql_info.h"

#include <arrow/flight/sql/types.h>
#include <arrow/util/config.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "worker/flight/query_door.h"
#include "worker/session/prepared_store.h"
#include "worker/session/session_registry.h"

namespace pondpilot::worker::flight {

namespace {

using Conversions = std::unordered_map<int32_t, std::vector<int32_t>>;

}  // namespace

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
      {Id::FLIGHT_SQL_SERVER_SUBSTRAIT_MIN_VERSION, text("")},
      {Id::FLIGHT_SQL_SERVER_SUBSTRAIT_MAX_VERSION, text("")},
      // DuckDB has no savepoints.
      {Id::FLIGHT_SQL_SERVER_TRANSACTION, bits(Id::SQL_SUPPORTED_TRANSACTION_TRANSACTION)},
      {Id::FLIGHT_SQL_SERVER_CANCEL, Result(true)},
      {Id::FLIGHT_SQL_SERVER_BULK_INGESTION, Result(true)},
      {Id::FLIGHT_SQL_SERVER_INGEST_TRANSACTIONS_SUPPORTED, Result(true)},
      {Id::FLIGHT_SQL_SERVER_STATEMENT_TIMEOUT,
       bits(static_cast<int32_t>(session::PreparedLimits().idle.count()))},
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
      // What DuckDB reserves beyond SQL:2003.
      {Id::SQL_KEYWORDS,
       texts({"ANALYSE", "ANALYZE",   "ASC",    "DEFERRABLE", "DESC",         "DO",          "INITIALLY",
              "LAMBDA",  "LIMIT",     "OFFSET", "PIVOT",      "PIVOT_LONGER", "PIVOT_WIDER", "PLACING",
              "QUALIFY", "RETURNING", "SHOW",   "SUMMARIZE",  "UNPIVOT",      "VARIADIC"})},
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
      // None by the escape {fn CONVERT(…)}, which this is about. CAST converts nearly all there is.
      {Id::SQL_SUPPORTS_CONVERT, Result(Conversions{})},
      {Id::SQL_SUPPORTS_TABLE_CORRELATION_NAMES, Result(true)},
      {Id::SQL_SUPPORTS_DIFFERENT_TABLE_CORRELATION_NAMES, Result(false)},
      {Id::SQL_SUPPORTS_EXPRESSIONS_IN_ORDER_BY, Result(true)},
      {Id::SQL_SUPPORTS_ORDER_BY_UNRELATED, Result(true)},
      // Columns that are not selected, and more than those that are.
      {Id::SQL_SUPPORTED_GROUP_BY, bits(0b11)},
      {Id::SQL_SUPPORTS_LIKE_ESCAPE_CLAUSE, Result(true)},
      {Id::SQL_SUPPORTS_NON_NULLABLE_COLUMNS, Result(true)},
      // ODBC's minimum and core grammar; the extended one has positioned updates and procedures.
      {Id::SQL_SUPPORTED_GRAMMAR, bits(0b11)},
      {Id::SQL_ANSI92_SUPPORTED_LEVEL, bits(0b1)},  // the entry level
      {Id::SQL_SUPPORTS_INTEGRITY_ENHANCEMENT_FACILITY, Result(true)},
      // Limited and full. Arrow calls it an ordinal; JDBC's driver reads bits, and any but 0 says that there
      // are some.
      {Id::SQL_OUTER_JOINS_SUPPORT_LEVEL, bits(0b110)},
      {Id::SQL_SCHEMA_TERM, text("schema")},
      {Id::SQL_PROCEDURE_TERM, text("")},
      {Id::SQL_CATALOG_TERM, text("database")},
      {Id::SQL_CATALOG_AT_START, Result(true)},
      // Of procedure calls, index definitions and privileges: the second. DuckDB has no others.
      {Id::SQL_SCHEMAS_SUPPORTED_ACTIONS, bits(0b010)},
      {Id::SQL_CATALOGS_SUPPORTED_ACTIONS, bits(0b010)},
      {Id::SQL_SUPPORTED_POSITIONED_COMMANDS, bits(0)},
      {Id::SQL_SELECT_FOR_UPDATE_SUPPORTED, Result(false)},
      {Id::SQL_STORED_PROCEDURES_SUPPORTED, Result(false)},
      {Id::SQL_SUPPORTED_SUBQUERIES, bits(0b1111)},  // in comparisons, EXISTS, IN and with quantifiers
      {Id::SQL_CORRELATED_SUBQUERIES_SUPPORTED, Result(true)},
      {Id::SQL_SUPPORTED_UNIONS, bits(0b11)},  // UNION and UNION ALL
      // DuckDB bounds none of these but the text itself; 0 says "no bound that is known". JDBC's driver ends
      // in a NullPointerException over any that is missing.
      {Id::SQL_MAX_BINARY_LITERAL_LENGTH, number(0)},
      {Id::SQL_MAX_CHAR_LITERAL_LENGTH, number(0)},
      {Id::SQL_MAX_COLUMN_NAME_LENGTH, number(0)},
      {Id::SQL_MAX_COLUMNS_IN_GROUP_BY, number(0)},
      {Id::SQL_MAX_COLUMNS_IN_INDEX, number(0)},
      {Id::SQL_MAX_COLUMNS_IN_ORDER_BY, number(0)},
      {Id::SQL_MAX_COLUMNS_IN_SELECT, number(0)},
      {Id::SQL_MAX_COLUMNS_IN_TABLE, number(0)},
      {Id::SQL_MAX_CONNECTIONS, number(session::SessionRegistry::kMaxSessions)},
      {Id::SQL_MAX_CURSOR_NAME_LENGTH, number(0)},
      {Id::SQL_MAX_INDEX_LENGTH, number(0)},
      {Id::SQL_SCHEMA_NAME_LENGTH, number(0)},
      {Id::SQL_MAX_PROCEDURE_NAME_LENGTH, number(0)},
      {Id::SQL_MAX_CATALOG_NAME_LENGTH, number(0)},
      {Id::SQL_MAX_ROW_SIZE, number(0)},
      {Id::SQL_MAX_STATEMENTS, number(0)},
      {Id::SQL_MAX_TABLE_NAME_LENGTH, number(0)},
      {Id::SQL_MAX_TABLES_IN_SELECT, number(0)},
      {Id::SQL_MAX_USERNAME_LENGTH, number(0)},
      {Id::SQL_MAX_STATEMENT_LENGTH, number(static_cast<int64_t>(QueryDoor::kMaxSqlBytes))},
      {Id::SQL_MAX_ROW_SIZE_INCLUDES_BLOBS, Result(true)},
      {Id::SQL_TRANSACTIONS_SUPPORTED, Result(true)},
      // Snapshots: what JDBC and the SQL standard's readers know as REPEATABLE READ. The default is an int64
      // because JDBC's driver reads no other, and 4 because it hands the number on as one of
      // java.sql.Connection's.
      {Id::SQL_DEFAULT_TRANSACTION_ISOLATION, number(4)},
      {Id::SQL_SUPPORTED_TRANSACTIONS_ISOLATION_LEVELS, bits(1 << 3)},
      {Id::SQL_DATA_DEFINITION_CAUSES_TRANSACTION_COMMIT, Result(false)},
      {Id::SQL_DATA_DEFINITIONS_IN_TRANSACTIONS_IGNORED, Result(false)},
      // Results are read once, from the first row to the last, and changed by statements only.
      {Id::SQL_SUPPORTED_RESULT_SET_TYPES, bits(0b0010)},
      {Id::SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_UNSPECIFIED, bits(0)},
      {Id::SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_FORWARD_ONLY, bits(0b010)},
      {Id::SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_SCROLL_SENSITIVE, bits(0)},
      {Id::SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_SCROLL_INSENSITIVE, bits(0)},
      {Id::SQL_BATCH_UPDATES_SUPPORTED, Result(true)},
      {Id::SQL_SAVEPOINTS_SUPPORTED, Result(false)},
      {Id::SQL_NAMED_PARAMETERS_SUPPORTED, Result(true)},
      {Id::SQL_LOCATORS_UPDATE_COPY, Result(false)},
      {Id::SQL_STORED_FUNCTIONS_USING_CALL_SYNTAX_SUPPORTED, Result(false)},
  };
  return kInfo;
}

}  // namespace pondpilot::worker::flight
