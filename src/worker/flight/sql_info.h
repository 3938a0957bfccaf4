#pragma once

#include <arrow/flight/sql/server.h>

namespace pondpilot::worker::flight {

// What the server says about itself (GetSqlInfo): one row per id, each of them true.
const arrow::flight::sql::SqlInfoResultMap& SqlInfo();

}  // namespace pondpilot::worker::flight
