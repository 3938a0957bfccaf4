#pragma once

#include <arrow/type_fwd.h>

#include <memory>

#include "base/error.h"
#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {

// Which of DuckDB's Arrow types are wanted: what the session's settings say, or, whatever they say, the types
// that lose nothing, in the form that every reader of Arrow 1.0 knows.
duckdb::ClientProperties PropertiesOf(duckdb::ClientProperties session, Types types);

// What results are made in.
duckdb::shared_ptr<duckdb::ResultFormat> FormatOf(Types types);

// The Arrow schema that goes out for columns of DuckDB's: as the rows of a result with these columns would
// have it. Types that DuckDB has not found out, as those of a bare parameter, go out as utf8.
base::Result<std::shared_ptr<arrow::Schema>> OutgoingSchema(duckdb::ClientContext& context,
                                                            duckdb::vector<duckdb::LogicalType> types,
                                                            const duckdb::vector<duckdb::Identifier>& names,
                                                            Types types_wanted = Types::kCommon);

// The same with what clients ask about columns before they read any: the name of the type, its precision and
// scale, as Flight SQL's metadata ("ARROW:FLIGHT:SQL:TYPE_NAME" and so on).
base::Result<std::shared_ptr<arrow::Schema>> DescribedSchema(duckdb::ClientContext& context,
                                                             const duckdb::vector<duckdb::LogicalType>& types,
                                                             const duckdb::vector<duckdb::Identifier>& names,
                                                             Types types_wanted = Types::kCommon);

}  // namespace pondpilot::worker::engine
