#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/engine/engine.h"

namespace arrow {
class Schema;
}

namespace pondpilot::worker::airport {

// Reading a table for an airport client. Its row identifiers are those that Connection::Change takes.
struct TableScan {
  std::string sql;
  // Of the rows: all columns that the table is advertised with. Those that were not asked for are NULL.
  std::shared_ptr<arrow::Schema> schema;
  // How many rows there are about, when none are left out.
  std::optional<uint64_t> rows;
};

// `columns`: positions of the columns that are wanted, as the client counts them; anything that is no
// position stands for the row identifier or for no column at all; without it, all are wanted. `json_filters`
// may be empty. Not for an entry without a schema (SchemaOf). NotImplemented when row identifiers
// are wanted of a table that has too many rows for them.
arrow::Result<TableScan> ScanOf(const engine::CatalogEntry& entry,
                                const std::optional<std::vector<uint64_t>>& columns,
                                const std::string& json_filters);

}  // namespace pondpilot::worker::airport
