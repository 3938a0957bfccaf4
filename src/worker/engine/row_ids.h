#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "worker/engine/duckdb_headers.h"

namespace pondpilot::worker::engine {

// Row identifiers that a client may keep between reading rows and writing them. DuckDB's own don't last: a
// checkpoint that compacts a table moves its rows, and a table that is made anew begins at 0 again, so that
// an identifier kept from before would name another row. These carry above DuckDB's number a label of the
// rows as they lie, and a label is never given for rows that lie otherwise. Thread-safe.
class RowIds {
 public:
  // DuckDB's number takes the bits below; a table has as many rows at most.
  static constexpr int kRowBits = 36;
  // With labels at the same time; then the oldest label is worth nothing any more.
  static constexpr size_t kMaxTables = 1024;

  // What is added to DuckDB's identifiers of the table's rows: those that a scan gives that begins afterwards
  // are good for as long as the rows don't move. nullopt for a table that is too large.
  std::optional<int64_t> BaseOf(duckdb::DataTable& table);

  // The same where there is one already: what identifiers of the rows as they lie now begin with. Only while
  // nothing can move them.
  std::optional<int64_t> CurrentBase(duckdb::DataTable& table);

  // The base in an identifier.
  static constexpr int64_t BaseIn(int64_t identifier) { return identifier >> kRowBits << kRowBits; }

 private:
  struct Labelled {
    // DuckDB puts another in its place when rows move, and for each new table.
    duckdb::weak_ptr<duckdb::RowGroupSegmentTree> rows;
    int64_t label = 0;
  };
  std::optional<int64_t> Find(const duckdb::shared_ptr<duckdb::RowGroupSegmentTree>& rows) const;

  std::mutex mutex_;
  std::deque<Labelled> labels_;  // oldest in front
  int64_t last_label_ = 0;       // 0 before the first
};

}  // namespace pondpilot::worker::engine
