#pragma once

#include "base/error.h"
#include "contract/sql.pb.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::documents {

// The parameters of a request as one row of values: integers as BIGINT or UBIGINT, numbers as DOUBLE, texts
// as VARCHAR, lists of one kind as a LIST of it. DuckDB casts them to what the statement wants.
// kInvalidArgument for a list of several kinds or of lists.
base::Result<engine::ParameterRows> ToParameterRows(const pondpilot::sql::v1::RunRequest& request);

}  // namespace pondpilot::worker::documents
