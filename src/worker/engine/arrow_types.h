#pragma once

#include <arrow/result.h>
#include <arrow/type_fwd.h>

#include <memory>

#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {

// What goes out otherwise than DuckDB makes it, inside lists, structs and maps as well: ENUM, a dictionary
// that Flight SQL's JDBC driver does not decode, and BIT, bytes in a form of DuckDB's own, go out as plain
// utf8. Of DuckDB's own types (Types::kDuckDb), only ENUM does.

// The schema that goes out for `native`, which DuckDB has made for columns of `types`.
std::shared_ptr<arrow::Schema> ClientSchema(const std::shared_ptr<arrow::Schema>& native,
                                            const duckdb::vector<duckdb::LogicalType>& types,
                                            Types types_wanted = Types::kCommon);

// The batch with `schema`, which ClientSchema made of the batch's own. Shares what need not change.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> ForClient(const std::shared_ptr<arrow::RecordBatch>& batch,
                                                             const std::shared_ptr<arrow::Schema>& schema);

// Do columns of these types have to be checked by CheckRange?
bool NeedRangeCheck(const duckdb::vector<duckdb::LogicalType>& types);

// Invalid when a UHUGEINT of the batch is 2^127 or more: as a decimal of 128 bits, which DuckDB takes it for,
// it would be another number.
arrow::Status CheckRange(const arrow::RecordBatch& batch, const duckdb::vector<duckdb::LogicalType>& types);

}  // namespace pondpilot::worker::engine
