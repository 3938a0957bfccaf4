#pragma once

#include <string>
#include <string_view>

#include "worker/engine/engine.h"

namespace pondpilot::worker::airport {

// SQL conditions over a table's columns; empty ones say nothing.
struct Filter {
  // May go on to the database that the table is in.
  std::string direct;
  // Decided by DuckDB, here, on the values that a client would see: the table's database may compare
  // otherwise (collations, numbers that are no doubles there).
  std::string here;

  bool empty() const { return direct.empty() && here.empty(); }
};

// What of a client's filters can be decided here (`json_filters`: DuckDB's own bound expressions as JSON,
// which differ by version). The client applies all of them again, so rows may be kept that it drops, never
// the other way round: whatever isn't known for certain is left out, up to all of it. Filters on `view`s,
// whose columns may come from anywhere, are decided here.
Filter ReadFilter(std::string_view json_filters, const engine::TableDetails& table, bool view);

}  // namespace pondpilot::worker::airport
