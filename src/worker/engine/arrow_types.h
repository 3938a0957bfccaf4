#pragma once

#include <arrow/result.h>
#include <arrow/type_fwd.h>

#include <memory>

namespace pondpilot::worker::engine {

// DuckDB sends an ENUM as a dictionary. Flight SQL's JDBC driver decodes none, so ENUMs go out as plain utf8,
// inside lists, structs and maps as well.

// The type that goes out for `type`.
std::shared_ptr<arrow::DataType> WithoutDictionaries(const std::shared_ptr<arrow::DataType>& type);
std::shared_ptr<arrow::Schema> WithoutDictionaries(const std::shared_ptr<arrow::Schema>& schema);

// The batch with `schema`, which WithoutDictionaries made of the batch's own. Shares what need not change.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> WithoutDictionaries(
    const std::shared_ptr<arrow::RecordBatch>& batch, const std::shared_ptr<arrow::Schema>& schema);

}  // namespace pondpilot::worker::engine
