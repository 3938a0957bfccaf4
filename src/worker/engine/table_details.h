#pragma once

#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {

// What clients that write, filter and plan ask about a table beyond its columns' Arrow types. Throw what
// DuckDB throws.
TableDetails DetailsOf(duckdb::ClientContext& context, duckdb::TableCatalogEntry& table);
// Its columns are known once it is bound (ViewCatalogEntry::BindView).
TableDetails DetailsOf(duckdb::ViewCatalogEntry& view);
// The comment alone.
TableDetails DetailsOf(const duckdb::SchemaCatalogEntry& schema);

}  // namespace pondpilot::worker::engine
