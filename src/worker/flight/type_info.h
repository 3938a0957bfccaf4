#pragma once

#include <arrow/result.h>
#include <arrow/type_fwd.h>

#include <memory>
#include <optional>

namespace pondpilot::worker::flight {

// GetXdbcTypeInfo's rows: DuckDB's types as JDBC and ODBC number them; only those with the number, when one
// is given.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> XdbcTypes(const std::optional<int>& data_type);

}  // namespace pondpilot::worker::flight
