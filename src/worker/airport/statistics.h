#pragma once

#include <arrow/result.h>
#include <arrow/type_fwd.h>

#include <memory>
#include <string>

#include "worker/engine/engine.h"

namespace pondpilot::worker::airport {

// SQL that gives the least and the greatest value, in the column's type.
std::string BoundsSql(const engine::ColumnStatistics& statistics);

// The one row of a column_statistics reply, of the row that BoundsSql gives.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> StatisticsRow(const engine::ColumnStatistics& statistics,
                                                                 const arrow::RecordBatch& bounds);

}  // namespace pondpilot::worker::airport
