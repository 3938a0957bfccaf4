#include "worker/flight/sql_info.h"

#include <arrow/flight/sql/types.h>
#include <arrow/util/config.h>

namespace pondpilot::worker::flight {

const arrow::flight::sql::SqlInfoResultMap& SqlInfo() {
  using arrow::flight::sql::SqlInfoOptions;
  using arrow::flight::sql::SqlInfoResult;
  static const arrow::flight::sql::SqlInfoResultMap kInfo = {
      {SqlInfoOptions::FLIGHT_SQL_SERVER_NAME, SqlInfoResult(std::string("PondPilot Proxy"))},
      {SqlInfoOptions::FLIGHT_SQL_SERVER_VERSION, SqlInfoResult(std::string("0.1.0"))},
      {SqlInfoOptions::FLIGHT_SQL_SERVER_ARROW_VERSION, SqlInfoResult(std::string(ARROW_VERSION_STRING))},
      {SqlInfoOptions::FLIGHT_SQL_SERVER_READ_ONLY, SqlInfoResult(false)},
      {SqlInfoOptions::FLIGHT_SQL_SERVER_SQL, SqlInfoResult(true)},
      {SqlInfoOptions::FLIGHT_SQL_SERVER_SUBSTRAIT, SqlInfoResult(false)},
      // Transactions over Flight SQL's own actions; BEGIN and COMMIT as statements work.
      {SqlInfoOptions::FLIGHT_SQL_SERVER_TRANSACTION,
       SqlInfoResult(int32_t{SqlInfoOptions::SQL_SUPPORTED_TRANSACTION_NONE})},
      {SqlInfoOptions::FLIGHT_SQL_SERVER_CANCEL, SqlInfoResult(false)},
      {SqlInfoOptions::SQL_DDL_CATALOG, SqlInfoResult(false)},
      {SqlInfoOptions::SQL_DDL_SCHEMA, SqlInfoResult(true)},
      {SqlInfoOptions::SQL_DDL_TABLE, SqlInfoResult(true)},
      {SqlInfoOptions::SQL_IDENTIFIER_QUOTE_CHAR, SqlInfoResult(std::string("\""))},
  };
  return kInfo;
}

}  // namespace pondpilot::worker::flight
