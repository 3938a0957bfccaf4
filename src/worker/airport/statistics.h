#pragma once

#include <arrow/result.h>
#include <arrow/type_fwd.h>

#include <memory>

namespace pondpilot::worker::airport {

// The one row of a column_statistics reply for a column of the type, with nothing in it that rows could
// contradict. What DuckDB keeps about a column is true of one moment: a client plans with it, and leaves
// filters out and packs values into fewer bytes because of it, while its scan is a statement of its own,
// later, that may find rows which were written in between.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> StatisticsRow(
    const std::shared_ptr<arrow::DataType>& type);

}  // namespace pondpilot::worker::airport
