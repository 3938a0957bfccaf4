#include "worker/engine/row_ids.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "base/secret.h"

namespace pondpilot::worker::engine {
namespace {

constexpr int64_t kLabels = int64_t{1} << (63 - RowIds::kRowBits);
// Far below what the bits hold: rows are added while a scan begins.
constexpr duckdb::idx_t kMaxRows = duckdb::idx_t{1} << (RowIds::kRowBits - 1);

duckdb::shared_ptr<duckdb::RowGroupSegmentTree> RowsOf(duckdb::DataTable& table) {
  duckdb::ColumnSegmentInfoScanState state;
  table.InitializeColumnSegmentInfoScan(state);
  return std::move(state.row_groups);
}

// Another worker of the same user should begin elsewhere. Never 0: bare numbers of DuckDB have that label.
int64_t FirstLabel() {
  const std::string digits = base::RandomHex(4);
  uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  return 1 + static_cast<int64_t>(number % static_cast<uint64_t>(kLabels - 1));
}

}  // namespace

std::optional<int64_t> RowIds::Find(const duckdb::shared_ptr<duckdb::RowGroupSegmentTree>& rows) const {
  for (const Labelled& one : labels_) {
    if (one.rows.lock() == rows) return one.label << kRowBits;
  }
  return std::nullopt;
}

std::optional<int64_t> RowIds::BaseOf(duckdb::DataTable& table) {
  const auto rows = RowsOf(table);
  if (rows == nullptr || table.GetTotalRows() > kMaxRows || table.GetNextRowId() > kMaxRows)
    return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (const auto base = Find(rows)) return base;
  std::erase_if(labels_, [](const Labelled& one) { return one.rows.expired(); });
  if (labels_.size() >= kMaxTables) labels_.pop_front();
  last_label_ = last_label_ == 0 ? FirstLabel() : 1 + last_label_ % (kLabels - 1);
  labels_.push_back({duckdb::weak_ptr<duckdb::RowGroupSegmentTree>(rows), last_label_});
  return last_label_ << kRowBits;
}

std::optional<int64_t> RowIds::CurrentBase(duckdb::DataTable& table) {
  const auto rows = RowsOf(table);
  const std::lock_guard lock(mutex_);
  return rows == nullptr ? std::nullopt : Find(rows);
}

}  // namespace pondpilot::worker::engine
