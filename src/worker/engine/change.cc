// Rows of a table that a client writes one by one, by row identifier.
#include <arrow/array.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <ranges>

#include "worker/engine/attach.h"
#include "worker/engine/connection.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;
using Write = TableChange::Kind;

constexpr char kRowId[] = "rowid";

std::string Sql(const TableName& name) {
  return SqlIdentifier(name.catalog) + "." + SqlIdentifier(name.schema) + "." + SqlIdentifier(name.table);
}

// Names of the source's columns inside a statement: those of the table can't be meant by them.
std::string SourceColumn(size_t index) { return "c" + std::to_string(index); }

std::string SourceSql(size_t columns) {
  std::string names;
  for (size_t i = 0; i < columns; ++i) names += (i == 0 ? "" : ", ") + SourceColumn(i);
  return std::string("system.main.") + kIngestFunction + "() AS source(" + names + ")";
}

std::string ReturningSql(const TableChange& change) {
  std::string list;
  for (const std::string& name : change.returned) {
    list += list.empty() ? " RETURNING " : ", ";
    list += name == kRowId ? std::string("NULL::BIGINT AS rowid") : SqlIdentifier(name);
  }
  return list;
}

// `row_base`: of the row identifiers in the source.
std::string StatementOf(const TableChange& change, const arrow::Schema& source, int64_t row_base) {
  const auto fields = static_cast<size_t>(source.num_fields());
  const std::string by_row_id = " WHERE target.rowid = system.main.subtract(source." +
                                SourceColumn(fields - 1) + ", CAST(" + std::to_string(row_base) +
                                " AS BIGINT))";
  std::string written;
  std::string values;
  for (const std::string& column : change.columns) {
    const std::string value = "source." + SourceColumn(static_cast<size_t>(source.GetFieldIndex(column)));
    const std::string comma = written.empty() ? "" : ", ";
    written += comma + SqlIdentifier(column);
    if (change.kind == Write::kUpdate) {
      written += " = " + value;
    } else {
      values += comma + value;
    }
  }
  switch (change.kind) {
    case Write::kUpdate:
      return "UPDATE " + Sql(change.table) + " AS target SET " + written + " FROM " + SourceSql(fields) +
             by_row_id + ReturningSql(change);
    case Write::kDelete:
      return "DELETE FROM " + Sql(change.table) + " AS target USING " + SourceSql(fields) + by_row_id +
             ReturningSql(change);
    case Write::kInsert:
      break;
  }
  return "INSERT INTO " + Sql(change.table) + " (" + written + ") SELECT " + values + " FROM " +
         SourceSql(fields) + ReturningSql(change);
}

Result<void> CheckSource(const TableChange& change, const arrow::Schema& source) {
  for (const std::string& column : change.columns) {
    if (source.GetAllFieldIndices(column).size() == 1) continue;
    return Fail(ErrorCode::kInvalidArgument,
                "The rows have no column \"" + column.substr(0, 200) + "\", or have it more than once.");
  }
  if (change.kind == Write::kInsert || change.kind == Write::kUpdate) {
    if (change.columns.empty())
      return Fail(ErrorCode::kInvalidArgument, "The rows have no column that can be written.");
  }
  if (change.kind == Write::kInsert) return {};
  const int last = source.num_fields() - 1;
  if (last < 0 || source.field(last)->name() != kRowId ||
      source.field(last)->type()->id() != arrow::Type::INT64) {
    return Fail(
        ErrorCode::kInvalidArgument,
        "The last column of the rows must be \"rowid\", of type int64: it says which rows are meant.");
  }
  return {};
}

base::Error Moved() {
  return {
      ErrorCode::kAborted,
      "The rows may have moved since they were read: a checkpoint has compacted the table, or the table was "
      "changed or made anew. Nothing was changed; run the statement again.",
      "",
      {}};
}

// How many different rows the batches name; all by identifiers of `base`.
Result<int64_t> CountNamedRows(const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches,
                               std::optional<int64_t> base) {
  std::vector<int64_t> ids;
  for (const auto& batch : batches) {
    const auto& column = static_cast<const arrow::Int64Array&>(*batch->column(batch->num_columns() - 1));
    if (column.null_count() > 0)
      return Fail(ErrorCode::kInvalidArgument, "A rowid is NULL; each row must be named.");
    ids.insert(ids.end(), column.raw_values(), column.raw_values() + column.length());
  }
  if (!std::ranges::all_of(ids, [&](int64_t id) { return RowIds::BaseIn(id) == base; }))
    return std::unexpected(Moved());
  std::ranges::sort(ids);
  return std::ranges::unique(ids).begin() - ids.begin();
}

Result<std::shared_ptr<arrow::RecordBatch>> OneBatchOf(DuckDbStream& stream) {
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  while (auto batch = stream.NextKept()) batches.push_back(std::move(batch));
  auto table = arrow::Table::FromRecordBatches(stream.schema(), std::move(batches));
  auto batch = table.ok() ? (*table)->CombineChunksToBatch(arrow::system_memory_pool()) : table.status();
  if (!batch.ok())
    return Fail(ErrorCode::kInternal, "The rows can't be put together: " + batch.status().message());
  return std::move(*batch);
}

}  // namespace

std::optional<int64_t> DuckDbConnection::HoldRows(const TableName& name) {
  using Modification = duckdb::DatabaseModificationType;
  std::optional<int64_t> base;
  auto& context = *connection_->context;
  context.RunFunctionInTransaction([&] {
    auto& catalog = duckdb::Catalog::GetCatalog(context, duckdb::Identifier(name.catalog));
    // A transaction that writes excludes checkpoints; one that has only read does not.
    duckdb::MetaTransaction::Get(context).ModifyDatabase(
        catalog.GetAttached(), Modification(Modification::DELETE_DATA | Modification::UPDATE_DATA));
    const duckdb::QualifiedName qualified{duckdb::Identifier(name.catalog), duckdb::Identifier(name.schema),
                                          duckdb::Identifier(name.table)};
    auto& table = catalog.GetEntry<duckdb::TableCatalogEntry>(context, qualified);
    if (table.IsDuckTable()) base = engine_.row_ids().CurrentBase(table.GetStorage());
  });
  return base;
}

Result<int64_t> DuckDbConnection::ChangeRows(const TableChange& change, RowSource& source,
                                             const std::shared_ptr<arrow::Schema>& schema,
                                             const BatchSink& returned, bool& wrote) {
  std::optional<int64_t> row_base;
  if (change.kind != Write::kInsert) row_base = HoldRows(change.table);
  const std::string sql = StatementOf(change, *schema, row_base.value_or(0));
  const bool answers = !change.returned.empty();
  int64_t rows = 0;
  for (;;) {
    // Who wants an answer for each batch waits for it before it sends the next.
    auto window = Gather(source, schema, answers ? 1 : kWindowBytes);
    if (!window) return std::unexpected(window.error());
    if (window->empty()) return rows;
    int64_t named = 0;
    if (change.kind != Write::kInsert) {
      auto counted = CountNamedRows(*window, row_base);
      if (!counted) return counted;
      named = *counted;
    }
    wrote = true;
    auto stream = RunWrite(sql, duckdb::make_shared_ptr<BatchSource>(schema, std::move(*window)));
    if (!stream) return std::unexpected(stream.error());
    int64_t written = 0;
    if (answers) {
      auto batch = OneBatchOf(**stream);
      if (!batch) return std::unexpected(batch.error());
      written = (*batch)->num_rows();
      if (auto sent = returned(std::move(*batch)); !sent) return std::unexpected(sent.error());
    } else {
      written = CountOf(**stream);
    }
    if (written < named) {
      return Fail(ErrorCode::kAborted,
                  "Of " + std::to_string(named) + " rows " + std::to_string(named - written) +
                      " were no longer there: another statement has removed or moved them "
                      "since they were read. Nothing was changed; run the statement again.");
    }
    rows += written;
  }
}

Result<int64_t> DuckDbConnection::Change(const TableChange& change, RowSource& source,
                                         const BatchSink& returned) {
  return Call<int64_t>(change.table.catalog + " " + change.table.table, [&]() -> Result<int64_t> {
    if (auto fits = CheckSource(change, *source.schema()); !fits) return std::unexpected(fits.error());
    auto schema = AcceptSchema(*connection_->context, source.schema());
    if (!schema) return std::unexpected(schema.error());
    return AllOrNothing([&](bool& wrote) { return ChangeRows(change, source, *schema, returned, wrote); });
  });
}

Result<std::vector<std::string>> DuckDbConnection::TypeNames(const std::shared_ptr<arrow::Schema>& schema) {
  return Call<std::vector<std::string>>("", [&]() -> Result<std::vector<std::string>> {
    auto accepted = AcceptSchema(*connection_->context, schema);
    if (!accepted) return std::unexpected(accepted.error());
    ArrowInput input(*connection_->context, *accepted);
    std::vector<std::string> names;
    for (const auto& type : input.types()) {
      // A column of NULLs alone has no type that a table could have.
      names.push_back(type.id() == duckdb::LogicalTypeId::SQLNULL ? "INTEGER" : type.ToString());
    }
    return names;
  });
}

}  // namespace pondpilot::worker::engine
